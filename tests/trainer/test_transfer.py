"""Transfer from end to end: from clothes to digits, the other way round, and to images that never had labels."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from cktf.data import evaluation_batches, load_dataset
from cktf.models import build_model
from cktf.storage import Storage
from cktf.trainer.checkpoint import load_checkpoint, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.evaluate import evaluate
from cktf.trainer.health import HealthConfig
from cktf.trainer.probe import Probe
from cktf.trainer.stored_student import AboutStudent, student_of
from cktf.trainer.train import TrainOptions
from cktf.trial.check import check_trial
from cktf.trial.run import run_trial
from tests.data.generated import generate
from tests.kinds import MakeTrial
from tests.trainer.interrupted import assert_equal_states, checkpoint_of, figures, killed_after_each_epoch

CPU = torch.device("cpu")
CKTF = {"cktf": {"beta": 1, "theta": 0.04, "temperature": 0.07, "negatives": 32}}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small data sets in the true formats."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("fashion_mnist", "cifar100", "stl10"):
        generate(name, folder)
    return folder


@pytest.fixture(autouse=True)
def pixels(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKTF_DATA", str(files))


@pytest.fixture
def transfer() -> MakeTrial:
    """From clothes to digits within a second, with changes laid over its top level."""

    def make(**changes: Any) -> TrialConfig:
        values = {
            "task": "transfer",
            "source": {"name": "fashion_mnist", "side": 8},
            "data": {"name": "digits", "train_fraction": 0.2},
            "teacher": {"model": "resnet5", "epochs": 1},
            "student": {"model": "resnet5"},
            "objective": CKTF,
            "epochs": 2,
            "probe": {"epochs": 2},
        }
        return TrialConfig.model_validate({**values, **changes})

    return make


def test_each_phase_has_its_epochs_and_only_the_probe_is_scored(transfer: MakeTrial) -> None:
    config = transfer(probe={"epochs": 3})
    results = list(run_trial(config, TrainOptions(read_test=True)))
    assert [(result.epoch, result.phase) for result in results] == [
        (1, "transfer"), (2, "transfer"), (3, "probe"), (4, "probe"), (5, "probe"),
    ]  # fmt: skip
    assert config.total_epochs == 5
    for result in results:
        scores = (result.train_accuracy, result.validation_loss, result.validation_accuracy)
        assert all((score is None) == (result.phase == "transfer") for score in scores)
        assert (result.test_accuracy is None) == (result.epoch < 5)
        assert set(result.terms) == (
            {"cktf.stem", "cktf.stage1", "cktf.stage2", "cktf.stage3", "cktf.penultimate"}
            if result.phase == "transfer"
            else set()
        )


def test_the_health_of_a_transfer_is_measured_while_the_teacher_is_learnt_from(transfer: MakeTrial) -> None:
    config = transfer()
    beside = list(run_trial(config, TrainOptions(health=HealthConfig(every=1))))
    assert figures(replace(result, health={}) for result in beside) == figures(run_trial(config))
    assert [bool(result.health) for result in beside] == [True, True, False, False]
    assert {"agreement", "cka.stem", "gap.cktf.stage3.teacher", "gradient.cktf.stem"} <= beside[0].health.keys()


def test_a_student_of_a_teacher_of_digits_learns_clothes(transfer: MakeTrial) -> None:
    config = transfer(
        source={"name": "digits"},
        data={"name": "fashion_mnist", "side": 8},
        teacher={"model": "resnet5", "epochs": 3},
        objective={"kd": {}},
        batch_size=16,
        epochs=8,
        optimizer={"schedule": "cosine"},
        probe={"epochs": 12, "batch_size": 16},
    )
    results = list(run_trial(config, TrainOptions(read_test=True)))
    assert results[7].train_loss < results[0].train_loss / 2
    assert results[-1].test_accuracy is not None
    assert results[-1].test_accuracy > 30  # chance is 10


@pytest.mark.parametrize("mode", ["linear", "full"])
def test_a_run_killed_after_any_epoch_of_either_phase_and_resumed_is_bit_equal(
    transfer: MakeTrial, tmp_path: Path, mode: str
) -> None:
    config = transfer(probe={"epochs": 2, "mode": mode})
    whole, broken = Storage(tmp_path / "whole"), Storage(tmp_path / "broken")
    uninterrupted = figures(run_trial(config, TrainOptions(read_test=True), run=whole))
    assert figures(killed_after_each_epoch(config, broken, read_test=True)) == uninterrupted
    assert_equal_states(checkpoint_of(whole, config), checkpoint_of(broken, config), "student")


def test_a_linear_probe_trains_on_the_student_that_the_transfer_has_left(transfer: MakeTrial, tmp_path: Path) -> None:
    config, run = transfer(), Storage(tmp_path)
    place = trial_storage(run, config.trial_id)
    training = run_trial(config, run=run)
    next(training), next(training)
    assert isinstance(training, Generator)
    training.close()
    after_transfer = load_checkpoint(place)
    list(run_trial(config, run=run))
    after_probe = load_checkpoint(place)
    assert after_transfer is not None
    assert after_probe is not None

    moved = {
        name for name, value in after_probe.student.items() if not torch.equal(value, after_transfer.student[name])
    }
    assert moved == {"classifier.weight", "classifier.bias"}
    assert after_transfer.objective
    assert not after_probe.objective, "banks of all images are of no use any more"


def test_the_weights_that_are_kept_are_those_of_the_network_that_was_evaluated(
    transfer: MakeTrial, tmp_path: Path
) -> None:
    config = transfer(probe={"epochs": 1, "mode": "full"})
    *_, last = run_trial(config, TrainOptions(read_test=True), run=Storage(tmp_path))

    dataset = load_dataset(config.data)
    assert config.probe is not None
    network = Probe(config.probe, build_model("resnet5", 10, dataset.image_shape), 64, 10, seed=9)
    network.load_state_dict(load_file(tmp_path / "trials" / config.trial_id / "student.safetensors"))
    found = evaluate(network, evaluation_batches(dataset, "test"))
    assert found.accuracy == last.test_accuracy
    assert found.loss == pytest.approx(last.test_loss)
    content = (tmp_path / "trials" / config.trial_id / "student.safetensors").read_bytes()
    about = AboutStudent.read(content)
    assert about is not None
    student, (images, _) = student_of(content, about), next(evaluation_batches(dataset, "test"))
    assert torch.allclose(student(dataset.test_images[: len(images)]), network.eval()(images).logits, atol=1e-5)


def test_images_that_never_had_labels_are_learnt_from_whatever_share_of_labels_there_is(transfer: MakeTrial) -> None:
    def results(train_fraction: float) -> list[Any]:
        data = {"name": "stl10", "verify": False, "side": 16, "train_fraction": train_fraction}
        # A hundred classes: as many as the student's own classifier tells, and none of them the target's.
        config = transfer(
            source={"name": "cifar100", "verify": False, "side": 16},
            data=data,
            objective={"kd": {}, **CKTF},
            epochs=1,
            probe={"epochs": 1},
        )
        check_trial(config)
        return figures(run_trial(config))

    few, all_ = results(0.2), results(1.0)
    assert few[0] == all_[0]
    assert few[1] != all_[1]


def test_what_is_read_of_the_teacher_once_is_of_the_images_without_labels(
    transfer: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = transfer(
        source={"name": "cifar100", "verify": False, "side": 16}, data={"name": "stl10", "verify": False, "side": 16}
    )
    live = list(run_trial(config))
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path))
    cold, warm = (list(run_trial(config, TrainOptions(teacher_once=True))) for _ in range(2))
    assert figures(warm) == figures(cold)
    assert len({path.parent for path in tmp_path.rglob("*.float16")}) == 1, "the probe reads no teacher"
    assert cold[1].train_loss == pytest.approx(live[1].train_loss, rel=1e-3)
    assert cold[1].train_loss != live[1].train_loss


def test_a_method_s_own_initial_phase_comes_before_the_transfer(transfer: MakeTrial) -> None:
    config = transfer(objective={"kd": {}, "fsp": {"initial_epochs": 1}}, epochs=1, probe={"epochs": 1})
    results = list(run_trial(config))
    assert [result.phase for result in results] == ["fsp", "transfer", "probe"]
    assert [result.validation_accuracy is None for result in results] == [True, True, False]
    assert config.total_epochs == 3


def test_what_a_task_needs_or_cannot_use_is_told(transfer: MakeTrial, tiny: MakeTrial) -> None:
    for changes, message in (
        ({"source": None}, "task: transfer needs 'source:', the data set whose classes the teacher knows"),
        ({"probe": None}, "task: transfer needs 'probe:', how the labelled images are learnt from"),
        ({"teacher": None}, r"objective\.cktf needs a teacher"),
        ({"objective": {"cross_entropy": {}}}, r"objective\.cross_entropy needs labels.*task: transfer"),
        (
            {"objective": {"crd": {"estimator": "infonce", "positives": "class"}}},
            r"objective\.crd needs labels.*task: transfer",
        ),
        ({"source": {"name": "digits", "train_fraction": 0.5}}, r"source\.train_fraction: .*teacher\.train_fraction"),
    ):
        with pytest.raises(ValidationError, match=message):
            transfer(**changes)
    with pytest.raises(ValidationError, match="probe: only 'task: transfer' has it"):
        tiny(probe={})


def test_an_objective_that_needs_labels_may_stand_there_without_weight(transfer: MakeTrial) -> None:
    assert transfer(objective={"cross_entropy": {"weight": 0}, "kd": {}})


def test_where_the_source_is_is_no_part_of_an_identity_and_what_it_is_is(transfer: MakeTrial) -> None:
    base = transfer().trial_id
    assert transfer(source={"name": "fashion_mnist", "side": 8, "root": "/there", "download": True}).trial_id == base
    assert transfer(source={"name": "fashion_mnist", "side": 9}).trial_id != base
    assert transfer(probe={"epochs": 3}).trial_id != base
    again = TrialConfig.model_validate_json(transfer().model_dump_json())
    assert again.trial_id == base


def test_what_would_fail_every_trial_is_told_before(transfer: MakeTrial, tmp_path: Path) -> None:
    check_trial(transfer())
    for changes, message in (
        ({"source": {"name": "mnist", "root": str(tmp_path)}}, f"source: .*mnist is not there.*{tmp_path}"),
        (
            {"source": {"name": "cifar100", "verify": False}},
            "teacher: resnet5 cannot read images of digits, whose shape is",
        ),
        ({"probe": {"batch_size": 3}}, "phase probe: batch_size: 3 samples for 2 worker"),
        ({"batch_size": 3}, "phase transfer: batch_size: 3 samples for 2 worker"),
    ):
        with pytest.raises(ValueError, match=message):
            check_trial(transfer(**changes), workers=2)


def test_a_teacher_that_cannot_read_images_of_the_target_s_side_is_told(transfer: MakeTrial) -> None:
    squeezenet = {
        "model": "torchvision/squeezenet1_1",
        "stem": "features.0",
        "stages": [["features.4"], ["features.7"], ["features.12"]],
        "penultimate": "features.12",
    }
    config = transfer(
        source={"name": "cifar100", "verify": False},
        data={"name": "stl10", "verify": False, "side": 16},
        teacher=squeezenet,
        objective={"kd": {}},
    )
    with pytest.raises(ValueError, match=r"squeezenet1_1 cannot read images of stl10.*\(3, 16, 16\); data\.side sets"):
        check_trial(config)


def test_a_vision_transformer_reads_one_side_alone_and_another_is_told(transfer: MakeTrial) -> None:
    generated = {"name": "cifar10", "generated": True}
    config = transfer(
        source={**generated, "side": 64},
        data=generated,
        teacher={"model": "torchvision/vit_b_32", "epochs": 1},
        objective={"kd": {}},
    )
    with pytest.raises(ValueError, match=r"vit_b_32 cannot read images of cifar10.*\(3, 32, 32\); data\.side sets"):
        check_trial(config)
