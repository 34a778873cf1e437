"""Arms whose difference nothing reads: one arm under several names."""

from typing import Any

import pytest

from cktf.study.designs import every_arm, plan_arms, smoke_study
from cktf.study.in_words import alike_in_words, plan_in_words
from cktf.study.load import Study
from cktf.study.spec import StudySpec

KD_OFF = {"cross_entropy": {"weight": 1.0}, "kd": {"weight": 0.0, "temperature": 4.0}}
KD_ON = {**KD_OFF, "kd": {"weight": 1.0, "temperature": 4.0}}
WEIGHT, TEMPERATURE = "objective.kd.weight", "objective.kd.temperature"


def spec(objective: dict[str, Any], **design: Any) -> Study:
    baseline = {
        "data": {"name": "digits"},
        "teacher": {"model": "resnet8", "epochs": 1},
        "student": {"model": "resnet5"},
        "objective": objective,
        "epochs": 1,
    }
    return Study(name="tiny", baseline=baseline, seeds=2, **design)


def names(study: StudySpec) -> list[Any]:
    return [list(arm.names) for arm in plan_arms(study)]


def test_the_settings_of_an_objective_without_weight_set_no_arm_apart() -> None:
    study = spec(KD_OFF, ablate={TEMPERATURE: [1.0], "optimizer.momentum": [0.0]})
    assert names(study) == [["baseline", "temperature=1"], ["momentum=0"]]
    assert names(spec(KD_OFF, ablate={TEMPERATURE: [1.0, 2.0]})) == [["baseline", "temperature=1", "temperature=2"]]
    assert plan_arms(study)[0].aliases == ({"arm": "temperature=1", "params": {TEMPERATURE: 1.0}},)


@pytest.mark.parametrize("model", ["resnet14", "resnet20"])
def test_a_teacher_that_nobody_reads_sets_no_arm_apart_unless_it_is_measured(model: str) -> None:
    design = {"ablate": {"teacher.model": [model], "epochs": [2]}}
    alone = {"cross_entropy": {"weight": 1.0}}
    assert names(spec(alone, **design)) == [["baseline", f"teacher.model={model}"], ["epochs=2"]]
    measured = spec(alone, **design, health={"every": 1})
    assert names(measured) == [["baseline"], [f"teacher.model={model}"], ["epochs=2"]]


def test_what_is_read_sets_arms_apart() -> None:
    study = spec(KD_ON, ablate={TEMPERATURE: [1.0], "teacher.model": ["resnet14"]})
    assert names(study) == [["baseline"], ["temperature=1"], ["teacher.model=resnet14"]]


def test_a_grid_trains_its_arms_that_are_alike_once_and_says_which_they_are() -> None:
    study = spec(KD_ON, grid={WEIGHT: [0.0, 1.0, 2.0], TEMPERATURE: [1.0, 4.0, 8.0]})
    arms = plan_arms(study)
    assert len(arms) == 7
    (one,) = [arm for arm in arms if arm.aliases]
    assert one.names == tuple(f"kd.weight=0, temperature={level}" for level in (1, 4, 8))
    assert [alias["params"] for alias in one.aliases] == [
        {WEIGHT: 0.0, TEMPERATURE: 4.0},
        {WEIGHT: 0.0, TEMPERATURE: 8.0},
    ]
    assert plan_in_words(study, arms) == "7 arms x 2 seeds = 14 trials"
    (said,) = alike_in_words(study, arms)
    assert said.startswith("these are one arm, trained once, since nothing that is switched on reads")
    assert said.endswith(": kd.weight=0, temperature=1; kd.weight=0, temperature=4; kd.weight=0, temperature=8")


def test_in_a_fraction_the_baseline_stands_for_the_runs_that_train_like_it() -> None:
    factors = {WEIGHT: [0.0, 1.0], TEMPERATURE: [4.0, 1.0], "optimizer.momentum": [0.9, 0.0]}
    baseline, *others = plan_arms(spec(KD_OFF, fractional=factors, resolution=3))
    assert (baseline.names, len(others)) == (("baseline",), 3), "the runs differ in momentum, or in what is read"
    study = spec(KD_OFF, fractional={**factors, "teacher.model": ["resnet8", "resnet14"]}, resolution=4)
    assert len(plan_arms(study)) == 6


def test_named_arms_and_contexts_are_merged_each_context_on_its_own() -> None:
    compare = {"hot": {"objective": {"kd": {"temperature": 8}}}, "slow": {"epochs": 2}}
    contexts = {"without": {}, "with": {"objective": {"kd": {"weight": 1.0}}}}
    study = spec(KD_OFF, compare=compare, contexts=contexts)
    assert [(arm.context, arm.names) for arm in plan_arms(study)] == [
        ("without", ("baseline", "hot")),
        ("without", ("slow",)),
        ("with", ("baseline",)),
        ("with", ("hot",)),
        ("with", ("slow",)),
    ]
    (said,) = alike_in_words(study, plan_arms(study))
    assert "one arm in without, trained once" in said


def test_a_smoke_run_makes_one_arm_of_those_whose_few_epochs_are_the_same() -> None:
    study = smoke_study(spec(KD_ON, ablate={"epochs": [20, 30], TEMPERATURE: [1.0]}))
    assert names(study) == [["baseline"], ["epochs=20", "epochs=30"], ["temperature=1"]]
    (said,) = alike_in_words(study, plan_arms(study))
    assert said.endswith("since a smoke run makes them one: epochs=20; epochs=30")


def test_arms_that_a_run_has_trials_of_stay_apart_and_the_rest_are_merged_as_before() -> None:
    study = spec(KD_ON, grid={WEIGHT: [0.0, 1.0], TEMPERATURE: [1.0, 4.0, 8.0]})
    merged = plan_arms(study)
    assert plan_arms(study, {arm.arm_id for arm in merged}) == merged, "a run that was planned so goes on so"
    assert plan_arms(study, {arm.arm_id for arm in every_arm(study)}) == every_arm(study)
    two = [arm for arm in every_arm(study) if arm.name in ("kd.weight=0, temperature=1", "kd.weight=0, temperature=8")]
    found = {arm.name: arm.names for arm in plan_arms(study, {arm.arm_id for arm in two})}
    assert found["kd.weight=0, temperature=1"] == ("kd.weight=0, temperature=1", "kd.weight=0, temperature=4")
    assert found["kd.weight=0, temperature=8"] == ("kd.weight=0, temperature=8",)


def test_a_search_says_where_its_space_has_fewer_arms_than_it_has_trials() -> None:
    few = {WEIGHT: {"choice": [0.0, 1.0]}, "epochs": {"int": [1, 5], "step": 2}}
    study = spec(KD_ON, search=few, trials=10)
    said = plan_in_words(study, plan_arms(study))
    assert said.startswith("6 arms at most, for the factors have no more values together ('trials: 10'), x 2 seeds by")
    study = spec(KD_ON, search=few, trials=6)
    assert plan_in_words(study, plan_arms(study)).startswith("6 arms x 2 seeds by tpe")
    study = spec(KD_ON, search={**few, TEMPERATURE: {"float": [1, 8]}}, trials=40)
    assert plan_in_words(study, plan_arms(study)).startswith("40 arms x 2 seeds")
