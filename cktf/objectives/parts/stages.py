"""The maps that methods compare stage by stage, under the names of their terms, and readings of other layers."""

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor

from cktf.batch import Activations, Reading, Shapes
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext

_Map = TypeVar("_Map", Tensor, torch.Size)


def last_maps(activations: Activations) -> dict[str, Tensor]:
    """Return ``stem``, ``stage1``, ``stage2``, ...: the stem's map and that of each stage's last block."""
    return _named(activations.stem, activations.stages)


def paired_maps(given: BuildContext, key: str, remedy: str = "weight: 0") -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return the shapes of the `last_maps` of student and teacher: (channels, height, width) each.

    Raises:
        ValueError: If the numbers of stages differ; it names ``key``, the path of the setting that asks for the
            comparison, and ``remedy``, what to choose if the networks are to stay.
    """
    student, teacher = given.student, given.teacher
    if len(student.stages) != len(teacher.stages):
        raise InputError(
            f"{key}: stage is paired with stage, but the student has {len(student.stages)} and the teacher "
            f"{len(teacher.stages)}; choose networks with equally many, or {remedy}"
        )
    teacher_shapes = _named(teacher.stem, teacher.stages)
    return {name: (shape, teacher_shapes[name]) for name, shape in _named(student.stem, student.stages).items()}


def paired_stages(given: BuildContext, key: str) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return `paired_maps` without the stem."""
    return {name: shapes for name, shapes in paired_maps(given, key).items() if name != "stem"}


def matched_stages(student: Activations, teacher: Activations) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield ``stage1``, ``stage2``, ... and the map of each network's last block there, float32."""
    teacher_maps = last_maps(teacher)
    for name, maps in last_maps(student).items():
        if name != "stem":
            yield name, (maps.float(), teacher_maps[name].float())


def logits_of(network: Shapes) -> Reading:
    """Return the reading of a network's logits."""
    return Reading("logits", network.logits, of_batch=False, compute=lambda activations, _: activations.logits)


def penultimate_of(network: Shapes) -> Reading:
    """Return the reading of a network's penultimate vector."""
    return Reading("penultimate", network.penultimate, of_batch=False, compute=lambda network, _: network.penultimate)


def _named(stem: _Map, stages: tuple[tuple[_Map, ...], ...]) -> dict[str, _Map]:
    return {"stem": stem} | {f"stage{number}": blocks[-1] for number, blocks in enumerate(stages, start=1)}
