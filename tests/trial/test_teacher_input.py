"""The teacher's input, made of images that are normalised for the student."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.data import Constants, evaluation_batches
from cktf.data.augmentation.crops import normalise
from cktf.models import build_model
from cktf.trainer.checkpoint import STUDENT
from cktf.trainer.config import TrialConfig
from cktf.trainer.teacher import TeacherConfig
from cktf.trial.held_data import held_dataset
from cktf.trial.teachers import load_teacher, with_own_input
from tests.kinds import MakeTrial

CPU = torch.device("cpu")
HERE = {"mean": (0.25,), "std": (0.5,)}


class Seen(nn.Module):
    """Returns its images as logits."""

    def forward(self, images: Tensor) -> Activations:
        nothing = torch.empty(0)
        return Activations(images.flatten(1), nothing, nothing, (), ())


def test_a_teacher_sees_images_normalised_by_its_own_constants() -> None:
    images = torch.randint(256, (6, 3, 4, 5), dtype=torch.uint8)
    shown = Constants.of([0.45, 0.44, 0.41], [0.26, 0.25, 0.27])
    own = Constants.of([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    given = normalise(images, torch.tensor(shown.mean), torch.tensor(shown.std))
    wanted = normalise(images, torch.tensor(own.mean), torch.tensor(own.std))
    seen = with_own_input(Seen(), shown, own)(given).logits
    torch.testing.assert_close(seen, wanted.flatten(1), rtol=1e-5, atol=1e-5)


def test_nothing_is_done_where_the_constants_are_the_same() -> None:
    network = Seen()
    assert with_own_input(network, Constants.of([0.5], [0.25]), Constants.of([0.5], [0.25])) is network


@pytest.fixture
def checkpoint(tmp_path: Path) -> tuple[nn.Module, str]:
    """Weights of a network of the digits, and the digits."""
    network = build_model("resnet8", 10, (1, 8, 8))
    file = tmp_path / STUDENT
    save_file(network.state_dict(), file)
    return network.eval(), str(file)


def loaded(config: TrialConfig, **arguments: Any) -> Any:
    return load_teacher(config.teacher, config.teacher_data, CPU, None, **arguments)


def test_a_file_has_the_constants_that_the_study_gives_it(tiny: MakeTrial, checkpoint: tuple[nn.Module, str]) -> None:
    network, file = checkpoint
    config = tiny(teacher={"model": "resnet8", "checkpoint": file, **HERE})
    dataset = held_dataset(config.data, CPU)
    ((images, _),) = [*evaluation_batches(dataset, torch.arange(20))]
    pixels = dataset.train_images[:20]
    own = normalise(pixels, torch.tensor(HERE["mean"]), torch.tensor(HERE["std"]))
    found = loaded(config, shown=dataset.constants)(images).logits
    torch.testing.assert_close(found, network(own).logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, network(images).logits, atol=1e-2)


def test_the_constants_of_its_own_data_change_no_bit(tiny: MakeTrial, checkpoint: tuple[nn.Module, str]) -> None:
    network, file = checkpoint
    plain = tiny(teacher={"model": "resnet8", "checkpoint": file})
    dataset = held_dataset(plain.data, CPU)
    told = {"mean": dataset.mean.tolist(), "std": dataset.std.tolist()}
    ((images, _),) = [*evaluation_batches(dataset, torch.arange(20))]
    for config in (plain, tiny(teacher={"model": "resnet8", "checkpoint": file, **told})):
        assert torch.equal(loaded(config, shown=dataset.constants)(images).logits, network(images).logits)


def test_in_a_transfer_they_are_those_of_the_source(tiny: MakeTrial, checkpoint: tuple[nn.Module, str]) -> None:
    network, file = checkpoint
    config = tiny(teacher={"model": "resnet8", "checkpoint": file})
    source = held_dataset(config.data, CPU)
    shown = Constants.of([0.1], [0.9])
    pixels = source.test_images[:20]
    given = normalise(pixels, torch.tensor(shown.mean), torch.tensor(shown.std))
    wanted = normalise(pixels, source.mean, source.std)
    found = loaded(config, shown=shown)(given).logits
    torch.testing.assert_close(found, network(wanted).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [0.5]}, r"mean and std: go together, .*; got \[0.5\] and null"),
        ({"std": [0.5]}, r"got null and \[0.5\]"),
        ({"mean": [], "std": []}, "at least 1"),
        ({"mean": [0.5], "std": [0.0]}, "greater than 0"),
        ({"mean": [125.3], "std": [0.5]}, "less than or equal to 1"),
        ({"mean": [0.5, 0.5], "std": [0.5]}, r"one number a channel in each; got \[0.5, 0.5\] and \[0.5\]"),
        ({"checkpoint": None, **HERE}, "mean, std: of a checkpoint alone, and none is named"),
    ],
)
def test_constants_that_mean_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TeacherConfig.model_validate({"model": "resnet8", "checkpoint": "t.pth", **changes})


def test_constants_of_other_channels_are_refused(tiny: MakeTrial, checkpoint: tuple[nn.Module, str]) -> None:
    three = {"mean": [0.5] * 3, "std": [0.5] * 3}
    config = tiny(teacher={"model": "resnet8", "checkpoint": checkpoint[1], **three})
    with pytest.raises(ValueError, match=r"teacher\.mean and teacher\.std: .* of the images, 1; got 3"):
        loaded(config)
