from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from cktf.epoch_result import EpochResult
from cktf.trial import teachers
from cktf.trial.check import check_trial, look_at_data
from cktf.trial.run import run_trial
from tests.kinds import MakeTrial


def test_a_trial_that_can_run_passes_and_moves_no_randomness(tiny: MakeTrial) -> None:
    before = torch.get_rng_state()
    check_trial(tiny())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_teacher_that_arms_share_is_built_once_and_others_anew(tiny: MakeTrial) -> None:
    with patch.object(teachers, "build_teacher", wraps=teachers.build_teacher) as built:
        for seed in range(2):
            check_trial(tiny(seed=seed, teacher={"model": "resnet8x4"}))
            assert built.call_count == 1
        check_trial(tiny(teacher={"model": "resnet14"}))
        check_trial(tiny(teacher={"model": "resnet14"}, data={"name": "digits", "side": 16}))
    assert built.call_count == 3


def test_a_missing_data_set_is_told(tiny: MakeTrial, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"cifar100 is not there.*{tmp_path}"):
        check_trial(tiny(data={"name": "cifar100", "root": str(tmp_path)}))


def test_a_missing_teacher_file_is_told(tiny: MakeTrial, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"teacher\.checkpoint: .*absent\.pth cannot be read: No such file"):
        check_trial(tiny(teacher={"model": "resnet8", "checkpoint": str(tmp_path / "absent.pth")}))


def test_a_teacher_that_no_objective_needs_is_not_looked_for(tiny: MakeTrial) -> None:
    teacher = {"model": "resnet8", "checkpoint": "absent.pth"}
    student_alone = tiny(teacher=teacher, objective={"cross_entropy": {}})
    check_trial(student_alone)
    with pytest.raises(ValueError, match=r"teacher\.checkpoint: .*absent\.pth"):  # but to be measured against
        check_trial(student_alone, is_measured=True)


def test_a_network_that_cannot_read_the_images_is_told(tiny: MakeTrial) -> None:
    with pytest.raises(ValueError, match=r"torchvision/vgg11: cannot read images of shape \(1, 8, 8\)"):
        check_trial(tiny(student={"model": "torchvision/vgg11"}))


def test_a_teacher_file_of_another_network_is_told(tiny: MakeTrial, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth does not hold the weights of resnet8"):
        check_trial(tiny(teacher={"model": "resnet8", "checkpoint": str(tmp_path / "other.pth")}))


def test_a_batch_too_small_for_the_workers_is_told(tiny: MakeTrial) -> None:
    with pytest.raises(ValueError, match="batch_size: 2 samples for 2 worker"):
        check_trial(tiny(batch_size=2), workers=2)


@pytest.fixture
def one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A folder of one class."""
    monkeypatch.setenv("CKTF_DATA", str(tmp_path / "data"))
    for part in ("train", "test"):
        (tmp_path / "own" / part / "cat").mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / "own" / part / "cat" / f"{number}.png")
    return {"name": "image_folder", "root": str(tmp_path / "own"), "side": 8}


def test_a_training_split_of_one_class_is_refused(tiny: MakeTrial, one_class: dict[str, Any]) -> None:
    message = rf"data\.root: {one_class['root']} has one class in its training split, so there is"
    with pytest.raises(ValueError, match=message):
        check_trial(tiny(data=one_class))


def test_a_source_that_cannot_be_divided_for_the_teacher_s_training_is_refused(tiny: MakeTrial, tmp_path: Path) -> None:
    images, labels = np.zeros((2, 8, 8), dtype=np.uint8), np.arange(2)
    parts: dict[str, Any] = {"train_images": images, "test_images": images}
    np.savez(tmp_path / "own.npz", **parts, train_labels=labels, test_labels=labels)
    source = {"name": "arrays", "root": str(tmp_path / "own.npz")}
    with pytest.raises(ValueError, match="source: data: the validation split is empty"):
        check_trial(tiny(task="transfer", source=source, probe={}, objective={"kd": {}}))


def test_a_teacher_of_images_with_other_channels_is_not_blamed_on_their_side(tiny: MakeTrial) -> None:
    source = {"name": "cifar10", "generated": True, "side": 8}
    message = (
        r"resnet8 cannot read images of digits, .* \(1, 8, 8\); choose a data set with 3 channels, .* cifar10 have"
    )
    with pytest.raises(ValueError, match=message):
        check_trial(tiny(task="transfer", source=source, probe={}, objective={"kd": {}}))


def test_images_of_ones_own_arrays_are_looked_at(tiny: MakeTrial, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    labels = np.arange(40) % 2
    others: dict[str, Any] = {
        "test_images": images[:3],
        "test_labels": labels[:3],
        "val_images": images,
        "val_labels": labels,
    }
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=labels, **others)
    config = tiny(data={"name": "arrays", "root": str(tmp_path / "own.npz")})
    found = look_at_data(config)
    assert "3 of the 3 test images are training images, too" in found[0]
    assert "val is not read" in found[1]
    check_trial(config)
    (said,) = look_at_data(tiny(data={"name": "arrays", "root": str(tmp_path / "nowhere")}))
    assert said.endswith("nowhere is not on this machine; it is not looked at")


def test_wrong_labels_change_the_training_and_not_the_scores_splits(tiny: MakeTrial) -> None:
    def last(**data: float) -> EpochResult:
        config = tiny(data={"name": "digits", **data}, objective={"cross_entropy": {}}, teacher=None, epochs=1)
        (*_, result) = run_trial(config, device=torch.device("cpu"))
        return result

    right, wrong, fewer = last(), last(noise=0.5), last(per_class=20, tail=2)
    assert wrong.train_loss > right.train_loss
    assert fewer.train_loss != right.train_loss
    assert wrong.validation_loss != right.validation_loss
