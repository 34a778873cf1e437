"""Smoke runs: what they leave as it is, what they make small, and that nothing of them is taken for the real thing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cktf.study.designs import (
    MANY_SMOKE_ARMS,
    SMOKE_EPOCHS,
    SMOKE_NORM,
    SMOKE_SEEDS,
    SMOKE_TRIALS,
    arm_for,
    every_arm,
    plan_arms,
    smoke_study,
    smoke_trial,
)
from cktf.study.load import dump_study, read_study
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trial.content import with_contents
from cktf.trial.teachers import teacher_trial
from tests.kinds import parts

Make = Callable[..., StudySpec]
SOURCE = {"name": "fashion_mnist", "side": 8, "root": "elsewhere"}
TRANSFER = {
    "task": "transfer",
    "source": SOURCE,
    "data": {"name": "digits", "train_fraction": 0.1},
    "teacher": {"model": "resnet20", "epochs": 30},
    "student": {"model": "resnet8"},
    "objective": {"kd": {"weight": 1.0, "temperature": 4}, "ft": {}},
    "epochs": 30,
    "probe": {"epochs": 60, "optimizer": {"warmup_epochs": 5}},
}


@pytest.fixture
def ablation(make: Make) -> StudySpec:
    return make(ablate={"objective.cktf.negatives": [32, 16], "epochs": [1, 9, 12]}, seeds=5)


def test_every_phase_is_short_and_every_data_set_generated() -> None:
    config = TrialConfig.model_validate(TRANSFER)
    small = smoke_trial(config)
    assert parts(small).ft
    assert small.probe
    assert small.teacher
    assert small.source
    phases = (small.epochs, parts(small).ft.initial_epochs, small.probe.epochs, small.teacher.epochs)
    assert phases == (SMOKE_EPOCHS,) * 4
    assert small.total_epochs == 3 * SMOKE_EPOCHS
    assert small.probe.optimizer.warmup_epochs == SMOKE_EPOCHS - 1
    assert small.data.generated
    assert small.source.generated
    assert (small.source.root, small.source.side) == (None, 8)


def test_the_rest_of_a_trial_is_as_the_study_asks_for_it(make: Make) -> None:
    spec = make(ablate={"objective.cktf.negatives": [32]})
    config = plan_arms(spec)[1].config
    small = plan_arms(smoke_study(spec))[1].config
    same = {"student", "objective", "augmentation", "batch_size", "epochs"}
    assert small.model_dump(include=same) == config.model_dump(include=same)
    assert small.optimizer == config.optimizer.model_copy(update={"clip_norm": SMOKE_NORM})
    assert small.data.train_fraction == config.data.train_fraction
    assert smoke_trial(small) == small


def test_neither_a_trial_nor_a_teacher_of_a_smoke_run_is_taken_for_a_real_one(make: Make) -> None:
    config = make(ablate={"epochs": [1]}).baseline_config
    config = config.model_copy(update={"teacher": config.teacher and smoke_trial(config).teacher})
    small = smoke_trial(config)
    assert config.teacher == small.teacher
    assert config.teacher
    assert config.trial_id != small.trial_id
    real, generated = (teacher_trial(config.teacher, data).trial_id for data in (config.data, small.data))
    assert real != generated


def test_a_teacher_from_a_file_is_trained_instead(tmp_path: Path) -> None:
    file = tmp_path / "teacher.pth"
    file.write_bytes(b"weights")
    teacher = {"model": "resnet20", "checkpoint": str(file), "mean": [0.3], "std": [0.4]}
    config = with_contents(TrialConfig.model_validate({**TRANSFER, "teacher": teacher}))
    small = smoke_trial(config)
    assert small.teacher
    assert (small.teacher.checkpoint, small.teacher.sha256, small.teacher.mean) == (None, None, None)
    assert (small.teacher.model, small.teacher.epochs) == ("resnet20", SMOKE_EPOCHS)


def test_arms_that_differ_in_their_epochs_alone_are_trained_once(ablation: StudySpec) -> None:
    spec = smoke_study(ablation)
    assert [arm.name for arm in plan_arms(spec)] == ["baseline", "negatives=32", "negatives=16", "epochs=1"]
    assert len(every_arm(spec)) == len(plan_arms(ablation)) == 6


def test_a_smoke_run_has_few_seeds_on_one_cpu(make: Make, ablation: StudySpec) -> None:
    spec = smoke_study(ablation)
    assert spec.seeds == (0, 1)
    assert len(spec.seeds) == SMOKE_SEEDS
    assert smoke_study(make(ablate={"epochs": [1]}, seeds=[7])).seeds == (7,)
    many = {"objective.cktf.negatives": list(range(1, MANY_SMOKE_ARMS + 1))}
    resources = {"workers": 4, "gpus": 4, "cpus": 8, "slots": 3}
    spec = smoke_study(make(ablate=many, seeds=5, resources=resources))
    assert spec.seeds == (0,)
    assert spec.resources.model_dump() == {"workers": 1, "gpus": 0, "cpus": 1, "slots": 3}


def test_a_search_tries_few_arms_and_confirms_one(make: Make) -> None:
    search = {"objective.cktf.temperature": {"float": [0.05, 0.5]}, "epochs": {"int": [5, 90]}}
    spec = smoke_study(make(search=search, trials=40, prune="median", confirm={"top": 3, "seeds": 5}))
    assert (spec.trials, spec.seeds, spec.prune) == (SMOKE_TRIALS, (0,), "median")
    assert spec.confirm
    assert (spec.confirm.top, spec.confirm.seeds) == (1, SMOKE_SEEDS)
    arm = arm_for(spec, {"objective.cktf.temperature": 0.25, "epochs": 80})
    assert arm.params == {"objective.cktf.temperature": 0.25, "epochs": 80}
    assert (arm.config.epochs, arm.config.data.generated) == (SMOKE_EPOCHS, True)
    assert arm_for(spec, {"epochs": 2, "objective.cktf.temperature": 0.1}).name == "baseline"


@pytest.mark.parametrize(
    "keys",
    [
        {"ablate": {"epochs": [5, 9]}, "seeds": [3, 4, 5]},
        {"compare": {"long": {"epochs": 5}, "longer": {"epochs": 9}}, "contexts": {"a": {}, "b": {"batch_size": 9}}},
        {"search": {"epochs": {"int": [5, 90]}}, "confirm": {"top": 1, "seeds": 1}},
        {"search": {"epochs": {"int": [5, 90]}}, "enqueue": [{"epochs": epochs} for epochs in range(5, 13)]},
    ],
)  # fmt: skip
def test_what_a_run_directory_keeps_of_it_reads_back(make: Make, keys: dict[str, Any]) -> None:
    spec = smoke_study(make(**keys))
    again = read_study(dump_study(spec), "study.yaml")
    assert again.model_dump() == spec.model_dump()
    assert again.smoke
    assert plan_arms(again) == plan_arms(spec)
