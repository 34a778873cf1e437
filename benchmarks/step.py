"""A training step of CKTF, as `contrast.py` and `gpu.py` measure it: whole, in part, and in the published way."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from gather import TEMPERATURE, RowsOfNegatives, gathered_losses, gathered_partition
from torch import Tensor

from cktf.batch import Batch, Reading
from cktf.models import build_model, measure_shapes
from cktf.objectives import BuildContext, ObjectivesConfig, WeightedSum
from cktf.objectives.contrastive import pair as contrastive_pair
from cktf.trainer.phases import LiveTeacher, ReadTeacher

IMAGE_SHAPE = (3, 32, 32)
CPU = torch.device("cpu")
BFLOAT16 = " bfloat16"


@dataclass(frozen=True)
class Sizes:
    """How large everything is; by default as published."""

    batch: int = 64
    negatives: int = 16_384
    num_samples: int = 50_000
    dim: int = 128
    classes: int = 100
    student: str = "wrn_16_2"
    teacher: str = "wrn_40_2"

    @property
    def labels(self) -> Tensor:
        """(num_samples,), int64, every class alike."""
        return torch.arange(self.num_samples) % self.classes

    def __str__(self) -> str:
        """Name the sizes of the contrast."""
        return f"batch {self.batch}, K {self.negatives:,}, n {self.num_samples:,}, dim {self.dim}"


def training_step(
    way: str, sizes: Sizes, device: torch.device = CPU, *, compile_mode: str | None = None
) -> Callable[[int], None]:
    """Return what trains on one batch of random images, given its number.

    Args:
        way: ``teacher``, its pass alone; ``networks``, both with cross-entropy alone; ``contrast`` or ``gather``; or
            ``once``, the contrast with the teacher's values read from tables. With `BFLOAT16` after it the networks
            are in that.
        sizes: Of the batch, the banks and the networks.
        device: Where it runs.
        compile_mode: How `torch.compile` compiles the networks; None does not.
    """
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=way.endswith(BFLOAT16))
    way = way.removesuffix(BFLOAT16)
    torch.manual_seed(0)
    labels = sizes.labels
    student, teacher = (build_model(name, sizes.classes, IMAGE_SHAPE) for name in (sizes.student, sizes.teacher))
    given = BuildContext(measure_shapes(student, IMAGE_SHAPE), measure_shapes(teacher, IMAGE_SHAPE), labels, seed=0)
    teacher.requires_grad_(False).eval()
    for network in (student, teacher):
        network.to(device).to(memory_format=torch.channels_last)  # as the trainer does
        if compile_mode:
            network.compile(mode=compile_mode)
    values: dict[str, object] = {"cross_entropy": {}}
    if way not in ("networks", "teacher"):
        values["cktf"] = {"temperature": TEMPERATURE, "negatives": sizes.negatives, "dim": sizes.dim}
    objective = WeightedSum(ObjectivesConfig.model_validate(values), given).to(device)
    labels = labels.to(device)
    if way == "gather":
        objective.objectives["cktf"].source = RowsOfNegatives(labels, sizes.negatives)
    parameters = [*student.parameters(), *objective.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, fused=True)
    gathered: dict[str, Any] = {
        "estimate_partition": gathered_partition,
        "noise_contrastive_loss": gathered_losses,
    }

    read_teacher = LiveTeacher(teacher, objective.readings).epoch(1)
    if way == "once":
        read_teacher = random_readings(objective.readings, sizes.num_samples, device)

    def train_step(number: int) -> None:
        index = torch.randperm(sizes.num_samples, device=device)[: sizes.batch]
        images = torch.randn(sizes.batch, *IMAGE_SHAPE, device=device)
        batch = Batch(images.contiguous(memory_format=torch.channels_last), labels[index], index, step=number)
        with autocast:
            theirs = read_teacher(batch.images, batch)
            if way == "teacher":
                return
            ours = student(batch.images)
        with patch.multiple(contrastive_pair, **gathered) if way == "gather" else nullcontext():
            total, _ = objective(ours, theirs, batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return train_step


def random_readings(readings: tuple[Reading, ...] | None, num_samples: int, device: torch.device) -> ReadTeacher:
    """Return what looks up random numbers in place of a teacher's, from such tables as `TeacherOnce` maps."""
    from cktf.trial.teacher_once import reads  # with safetensors, which `gpu.py` does without

    assert readings
    generator = torch.Generator().manual_seed(0)
    return reads(
        {
            reading: torch.randn(num_samples, reading.shape.numel(), generator=generator).half().to(device)
            for reading in readings
        }
    )
