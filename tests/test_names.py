"""What arms and factors are called."""

import unicodedata

import pytest

from cktf.names import arm_label, as_name, short_name, similar_names


def test_whole_parts_of_a_path_make_a_name() -> None:
    assert short_name("a.size", ["a.size", "b.other_size"]) == "size"


def test_an_ending_that_says_nothing_alone_takes_its_parent_along() -> None:
    assert short_name("objective.kd.weight", ["objective.kd.weight"]) == "kd.weight"
    assert short_name("student.model", ["student.model"]) == "student.model"


def test_a_name_has_as_many_parts_as_are_wanted_and_tell_it_from_the_others() -> None:
    rates = ["optimizer.learning_rate", "teacher.optimizer.learning_rate"]
    assert [short_name(path, rates, fewest=2) for path in rates] == rates
    assert short_name("objective.cktf.theta", rates, fewest=2) == "cktf.theta"
    assert short_name("epochs", rates, fewest=2) == "epochs"


def test_an_arm_is_called_after_its_context_where_it_has_one() -> None:
    assert arm_label("kd", "") == "kd"
    assert arm_label("kd", "vgg13/vgg8") == "vgg13/vgg8: kd"


@pytest.mark.parametrize(
    "written", [" résumé", "résumé\t", "\u00a0résumé ", unicodedata.normalize("NFD", "résumé")]
)
def test_a_name_has_no_blanks_around_it_and_composed_letters(written: str) -> None:
    assert as_name(written) == "résumé"
    assert len(as_name(written)) == 6


def test_names_that_look_alike_are_found() -> None:
    names = [
        "kd",
        "KD",
        "crd",
        "at",
        "a\u200bt",
        "a t",
        "a\ufe0ft",
        "vid",
        "weight=1",
        "weight='1'",
        "Ö",
        "o\u0308",
    ]
    assert similar_names(names) == [["kd", "KD"], ["at", "a\u200bt", "a t", "a\ufe0ft"], ["Ö", "o\u0308"]]
    assert similar_names(["kd", "kd"]) == [], "one name is not similar to itself"
