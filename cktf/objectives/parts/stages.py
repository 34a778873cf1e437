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
    return {"stem": activations.stem} | _named(activations.stages)


def partners(
    student: Shapes, teacher: Shapes, key: str, remedy: str = "weight: 0", *, equal: bool = False
) -> dict[str, str]:
    """Return ``stage1``, ``stage2``, ... of the student to the teacher's stage that each is compared with.

    A student with fewer stages is paired from the end: its last stage with the teacher's last, and so on.

    Raises:
        ValueError: If the student has more stages or, where they must be ``equal``, fewer; it names ``key``, the path
            of the setting that asks for the comparison, and ``remedy``, what to choose if the networks are to stay.
    """
    count, others = len(student.stages), len(teacher.stages)
    if count > others or (equal and count < others):
        raise InputError(
            f"{key}: stage is paired with stage, but the student has {count} and the teacher {others}; choose networks "
            f"with equally many, or {remedy}"
        )
    return {f"stage{number}": f"stage{number + others - count}" for number in range(1, count + 1)}


def paired_stages(
    given: BuildContext, key: str, remedy: str = "weight: 0", *, equal: bool = False
) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return the student's stages to the shapes of its map and the teacher's: (channels, height, width) each.

    Raises:
        ValueError: As `partners`.
    """
    pairs = partners(given.student, given.teacher, key, remedy, equal=equal)
    of_student, of_teacher = (_named(network.stages) for network in (given.student, given.teacher))
    return {name: (of_student[name], of_teacher[partner]) for name, partner in pairs.items()}


def paired_maps(
    given: BuildContext, key: str, remedy: str = "weight: 0", *, equal: bool = False
) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return `paired_stages` behind the shapes of both stems."""
    return {"stem": (given.student.stem, given.teacher.stem)} | paired_stages(given, key, remedy, equal=equal)


def matched_stages(student: Activations, teacher: Activations) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield the student's ``stage1``, ``stage2``, ... and its map and its partner's, float32."""
    pairs = zip(student.stages, teacher.stages[-len(student.stages) :], strict=True)
    for number, (of_student, of_teacher) in enumerate(pairs, start=1):
        yield f"stage{number}", (of_student[-1].float(), of_teacher[-1].float())


def require_known(name: str, given: BuildContext) -> None:
    """Refuse networks whose ``penultimate`` or ``stages`` are not known, for a method that reads no shape of them."""
    for network in (given.student, given.teacher):
        getattr(network, name)


def logits_of(network: Shapes) -> Reading:
    """Return the reading of a network's logits."""
    return Reading("logits", network.logits, of_batch=False, compute=lambda activations, _: activations.logits)


def penultimate_of(network: Shapes) -> Reading:
    """Return the reading of a network's penultimate vector."""
    return Reading("penultimate", network.penultimate, of_batch=False, compute=lambda network, _: network.penultimate)


def _named(stages: tuple[tuple[_Map, ...], ...]) -> dict[str, _Map]:
    return {f"stage{number}": blocks[-1] for number, blocks in enumerate(stages, start=1)}
