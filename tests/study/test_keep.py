"""Which students a study asks to be stored, and what is said of it."""

import pytest

from cktf.study.designs import plan_arms
from cktf.study.in_words import kept_in_words
from cktf.study.problems import StudyError
from tests.kinds import MakeSpec


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("best", "of the arm with the best validation_accuracy, about 2 students an arm"),
        ("all", "of every complete trial"),
        ("none", "none"),
        (["momentum=0"], "of 1 arm: momentum=0"),
    ],
)
def test_what_is_stored_is_said(keep: object, said: str, make_spec: MakeSpec) -> None:
    spec = make_spec(keep=keep)
    assert kept_in_words(spec, plan_arms(spec)) == f"weights stored ('keep'): {said}"


def test_the_best_arm_is_said_by_its_metric_with_the_students_of_all_its_teachers(make_spec: MakeSpec) -> None:
    taught = {"teacher": {"model": "resnet8", "epochs": 1}}
    spec = make_spec(
        taught,
        ablate={"objective.kd.weight": [1.0]},
        seeds=2,
        teacher_seeds=3,
        measures=["ece"],
        metric="validation_ece",
    )
    assert "the best validation_ece, about 6 students an arm" in kept_in_words(spec, plan_arms(spec))


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (["momentum=1"], r"keep.*no such arm.*momentum=0"),
        ([], r"keep: .*must have 1 or more entries"),
        ("some", "keep: must be one of best, all, none; got 'some'"),
    ],
)
def test_what_no_study_can_store_is_refused(keep: object, message: str, make_spec: MakeSpec) -> None:
    with pytest.raises(StudyError, match=message):
        make_spec(keep=keep)


def test_a_search_cannot_list_its_arms(make_search: MakeSpec) -> None:
    with pytest.raises(StudyError, match="keep: must be best, all or none here"):
        make_search(keep=["baseline"])
