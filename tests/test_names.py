"""What arms and factors are called."""

import unicodedata

import pytest

from cktf.names import arm_label, as_name, short_name, similar_in_words, similar_names, tidy_name


def test_whole_parts_of_a_path_make_a_name() -> None:
    assert short_name("a.size", ["a.size", "b.other_size"]) == "size"


def test_an_ending_that_says_nothing_alone_takes_its_parent_along() -> None:
    assert short_name("objective.kd.weight", ["objective.kd.weight"]) == "kd.weight"
    assert short_name("student.model", ["student.model"]) == "student.model"
    assert short_name("objective.kd.weight.to", ["objective.kd.weight.to"]) == "kd.weight.to"
    assert short_name("objective.kd.temperature.max", ["objective.kd.temperature.max"]) == "temperature.max"


def test_a_name_has_as_many_parts_as_are_wanted_and_tell_it_from_the_others() -> None:
    rates = ["optimizer.learning_rate", "teacher.optimizer.learning_rate"]
    assert [short_name(path, rates, fewest=2) for path in rates] == rates
    assert short_name("objective.cktf.theta", rates, fewest=2) == "cktf.theta"
    assert short_name("epochs", rates, fewest=2) == "epochs"


def test_an_arm_is_called_after_its_context_where_it_has_one() -> None:
    assert arm_label("kd", "") == "kd"
    assert arm_label("kd", "vgg13/vgg8") == "vgg13/vgg8: kd"


@pytest.mark.parametrize("written", [" résumé", "résumé\t", "\u00a0résumé ", unicodedata.normalize("NFD", "résumé")])
def test_a_name_has_no_blanks_around_it_and_composed_letters(written: str) -> None:
    assert as_name(written) == "résumé"
    assert len(as_name(written)) == 6


def test_names_that_look_alike_are_found() -> None:
    names = ["kd", "KD", "crd", "at", "a\u200bt", "a t", "a\ufe0ft", "vid", "weight=1", "weight='1'", "Ö", "o\u0308"]
    assert similar_names(names) == [["kd", "KD"], ["at", "a\u200bt", "a t", "a\ufe0ft"], ["Ö", "o\u0308"]]
    assert similar_names(["kd", "kd"]) == [], "one name is not similar to itself"


def test_similar_names_are_told_in_a_sentence() -> None:
    assert similar_in_words("arms", ["KD", "kd", "at", "kd"]) == [
        "Capitals, blanks or invisible characters alone set these arms apart: 'KD'; 'kd'."
    ]
    assert similar_in_words("arms", ["kd", "at"]) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("kd ", "kd"),
        ("\ufeffkd\u200b", "kd"),
        ("my\u00a0kd", "my kd"),
        ("my \u3000\t kd", "my kd"),
        ("k\u200dd\u2060", "kd"),
        ("kd\u00ad", "kd"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u6559\u5e2b", "\u6559\u5e2b"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("KD", "KD"),
        ("half \ud800", "half \\ud800"),
        ("x\u00b2", "x\u00b2"),  # no other letter takes a letter's place
    ],
)
def test_a_name_is_composed_and_has_no_blanks_but_single_ones(text: str, name: str) -> None:
    assert tidy_name(text) == name
