"""Arms whose difference nothing reads."""

import pytest

from cktf.study.alike import arms_alike
from cktf.study.designs import plan_arms
from cktf.study.spec import StudySpec

KD_OFF = {"cross_entropy": {"weight": 1.0}, "kd": {"weight": 0.0, "temperature": 4.0}}


def spec(objective, **design):
    baseline = {
        "data": {"name": "digits"},
        "teacher": {"model": "resnet8", "epochs": 1},
        "student": {"model": "resnet5"},
        "objective": objective,
        "epochs": 1,
    }
    return StudySpec.model_validate({"name": "tiny", "baseline": baseline, "seeds": 2, **design})


def names(study):
    return [[arm.name for arm in group] for group in arms_alike(plan_arms(study))]


def test_the_settings_of_an_objective_without_weight_set_no_arm_apart():
    study = spec(KD_OFF, ablate={"objective.kd.temperature": [1.0], "optimizer.momentum": [0.0]})
    assert names(study) == [["baseline", "temperature=1"]]


@pytest.mark.parametrize("model", ["resnet14", "resnet20"])
def test_a_teacher_that_nobody_reads_sets_no_arm_apart(model):
    study = spec({"cross_entropy": {"weight": 1.0}}, ablate={"teacher.model": [model]})
    assert names(study) == [["baseline", f"teacher.model={model}"]]


def test_what_is_read_sets_arms_apart():
    on = {**KD_OFF, "kd": {"weight": 1.0, "temperature": 4.0}}
    study = spec(on, ablate={"objective.kd.temperature": [1.0], "teacher.model": ["resnet14"]})
    assert names(study) == []


def test_a_grid_tells_which_of_its_arms_are_alike():
    study = spec(KD_OFF, grid={"objective.kd.weight": [0.0, 1.0], "objective.kd.temperature": [4.0, 1.0]})
    assert names(study) == [["baseline", "kd.weight=0, temperature=1"]]
