"""Teachers from files are scored before a student learns from them, and refused if they know nothing."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktf.data import DataConfig, split
from cktf.rows import TRAINED_HERE, TeacherRow
from cktf.storage import Storage
from cktf.trainer.config import TrialConfig
from cktf.trial.check import check_trial
from cktf.trial.content import with_contents
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from cktf.trial.teachers import CPU, build_teacher, load_teacher, score_teacher, teacher_id, teacher_trial
from cktf.trial.trained_teachers import trained_row, validation_part
from tests.kinds import MakeTrial

KD: dict[str, Any] = {"cross_entropy": {}, "kd": {}}
DIGITS = DataConfig(name="digits")


@pytest.fixture
def good(tiny: MakeTrial) -> dict[str, Tensor]:
    """The weights of a teacher of the digits, trained once."""
    config = tiny(objective=KD, data={"name": "digits"}, teacher={"model": "resnet8", "epochs": 6})
    network = load_teacher(config.teacher, config.data, CPU, None)
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.fixture
def taught(tiny: MakeTrial, tmp_path: Path) -> MakeTrial:
    """A maker of trials whose teacher has these weights, in a file."""

    def make(weights: dict[str, Any], **keys: Any) -> TrialConfig:
        torch.save(weights, tmp_path / "teacher.pth")
        teacher = {"model": "resnet8", "checkpoint": str(tmp_path / "teacher.pth"), **keys}
        return with_contents(tiny(objective=KD, teacher=teacher, epochs=1))

    return make


def classifier(weights: dict[str, Any]) -> Any:
    """The keys of the last layer's weight and bias, which have a row for each class."""
    return [key for key, value in weights.items() if len(value.shape) and value.shape[0] == 10][-2:]


def test_a_good_teacher_is_scored_on_the_trial_s_own_validation_split(
    taught: MakeTrial, good: dict[str, Tensor]
) -> None:
    config = taught(good).with_seed(3)
    row = score_teacher(config, CPU)
    dataset = held_dataset(config.data, CPU)
    rows = split(dataset.train_labels, config.data, 3).validation_index
    assert config.teacher is not None
    network = build_teacher(config.teacher, dataset).eval()
    images = (dataset.train_images[rows].float() / 255 - dataset.mean.view(1, -1, 1, 1)) / dataset.std.view(1, -1, 1, 1)
    with torch.no_grad():
        logits = network(images).logits
    labels = dataset.train_labels[rows]
    assert row.validation_accuracy == pytest.approx(100 * (logits.argmax(1) == labels).double().mean().item())
    assert row.validation_loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)
    assert row.validation_images == len(rows)
    assert row.num_classes == 10
    assert row.chance == pytest.approx(max(100 * (labels == label).double().mean().item() for label in range(10)))
    assert (row.seed, row.origin, row.sha256) == (3, config.teacher.checkpoint, config.teacher.sha256)
    assert not row.is_near_chance
    assert list(run_trial(config, device=CPU))


def test_a_teacher_whose_classes_are_in_another_order_is_refused_on_every_way_in(
    taught: MakeTrial, good: dict[str, Tensor]
) -> None:
    shifted = dict(good)
    for key in classifier(good):
        shifted[key] = good[key].roll(1, 0)
    config = taught(shifted)
    message = r"teacher\.checkpoint: .*teacher\.pth has an accuracy of .* n = \d+ validation images of digits, .*chance"
    check_trial(config)
    with pytest.raises(ValueError, match=message):
        score_teacher(config, CPU)
    with pytest.raises(ValueError, match=message):
        next(run_trial(config, device=CPU))
    accepted = taught(shifted, accept_any=True)
    assert score_teacher(accepted, CPU).is_near_chance
    assert accepted.trial_id == config.trial_id
    assert accepted.arm_id == config.arm_id
    assert teacher_id(accepted) == teacher_id(config)
    assert list(run_trial(accepted, device=CPU))


@pytest.mark.parametrize("scale", [0.0, 1e30])
def test_weights_that_know_nothing_are_refused(taught: MakeTrial, good: dict[str, Tensor], scale: float) -> None:
    spoilt = {key: value * scale if value.is_floating_point() else value for key, value in good.items()}
    with pytest.raises(ValueError, match=r"teacher\.checkpoint: .*(of chance|holds NaN or numbers beyond 1e\+10, in )"):
        score_teacher(taught(spoilt), CPU)


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_by_tensor(
    taught: MakeTrial, good: dict[str, Tensor], number: Any
) -> None:
    key = classifier(good)[0]
    weights = {**good, key: good[key].double()}
    weights[key][0, 0] = number
    with pytest.raises(ValueError, match=rf"teacher\.checkpoint: .* holds NaN or numbers beyond 1e\+10, in {key};"):
        check_trial(taught(weights))
    row = score_teacher(taught(weights, accept_any=True), CPU)
    assert row.validation_loss is None
    assert json.loads(row.to_json())["validation_loss"] is None


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_weights_of_another_kind_of_number_are_refused_by_tensor_and_type(
    taught: MakeTrial, good: dict[str, Tensor], kind: Any
) -> None:
    key = classifier(good)[0]
    name = str(kind).removeprefix("torch.")
    for accept_any in (False, True):
        with pytest.raises(ValueError, match=rf"teacher\.checkpoint: .*floating-point numbers: {key} is {name}"):
            check_trial(taught({**good, key: good[key].to(kind)}, accept_any=accept_any))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_taken(taught: MakeTrial, good: dict[str, Tensor], kind: Any) -> None:
    weights = {key: value.to(kind) if value.is_floating_point() else value for key, value in good.items()}
    assert not score_teacher(taught(weights), CPU).is_near_chance


def test_accept_any_without_a_checkpoint_is_refused(tiny: MakeTrial) -> None:
    with pytest.raises(ValueError, match="accept_any: of a checkpoint alone, and none is named"):
        tiny(teacher={"model": "resnet8", "accept_any": True})


def test_the_identity_of_a_teacher_follows_its_file_its_network_and_its_data(
    taught: MakeTrial, good: dict[str, Tensor], tiny: MakeTrial
) -> None:
    config = taught(good)
    assert config.teacher is not None
    moved = config.model_copy(update={"teacher": config.teacher.model_copy(update={"checkpoint": "elsewhere.pth"})})
    less = config.model_copy(update={"data": config.data.model_copy(update={"train_fraction": 0.5})})
    assert teacher_id(moved) == teacher_id(less) == teacher_id(config)
    larger = config.model_copy(update={"data": config.data.model_copy(update={"side": 16})})
    assert teacher_id(larger) != teacher_id(config)
    assert teacher_id(taught({**good, "new": torch.ones(1)})) != teacher_id(config)
    trained = tiny()
    assert trained.teacher is not None
    assert teacher_id(trained) == teacher_trial(trained.teacher, trained.data).trial_id
    assert teacher_id(tiny(teacher=None, objective={"cross_entropy": {}})) == ""


def row(accuracy: float, images: int | None, chance: float | None) -> TeacherRow:
    return TeacherRow(
        teacher_id="t",
        model="resnet8",
        data="digits",
        origin="file",
        validation_accuracy=accuracy,
        validation_loss=1.0,
        validation_images=images,
        chance=chance,
    )


def test_near_chance_is_three_binomial_standard_errors_and_everything_below() -> None:
    # 10 % of 900 images: a standard error of 1 percentage point.
    assert row(13.0, 900, 10.0).is_near_chance
    assert not row(13.1, 900, 10.0).is_near_chance
    assert row(0.0, 900, 10.0).is_near_chance
    # Of three images of three classes, even all right is within three standard errors; but better there is not.
    assert row(200 / 3, 3, 100 / 3).is_near_chance
    assert not row(100.0, 3, 100 / 3).is_near_chance
    assert not row(10.0, None, None).is_near_chance


def test_chance_is_the_share_of_the_largest_class() -> None:
    assert validation_part(torch.tensor([0, 2, 2, 2]), 3) == {"validation_images": 4, "num_classes": 3, "chance": 75.0}


def test_a_trained_teacher_s_last_scores_are_its_row(tiny: MakeTrial, tmp_path: Path) -> None:
    run = Storage(tmp_path)
    config = tiny(teacher={"model": "resnet5", "epochs": 1})
    identity = teacher_id(config)
    assert trained_row(run, identity) is None
    load_teacher(config.teacher, config.data, CPU, run)
    content = run.child("teachers").read(f"{identity}.json")
    assert content is not None
    record = json.loads(content)
    found = trained_row(run, identity)
    assert found is not None
    assert (found.teacher_id, found.model, found.data, found.origin) == (identity, "resnet5", "digits", TRAINED_HERE)
    for name in ("validation_accuracy", "validation_loss", "test_accuracy", "test_loss"):
        assert getattr(found, name) == record["result"][name]
    assert config.teacher is not None
    trial = teacher_trial(config.teacher, config.data)
    labels = held_dataset(DIGITS, CPU).train_labels
    assert found.validation_images == len(split(labels, trial.data, trial.seed).validation_index)
    del record["validation"]  # as an earlier version has written it
    run.child("teachers").write(f"{identity}.json", json.dumps(record).encode())
    found = trained_row(run, identity)
    assert found is not None
    assert found.validation_images is None
