"""The maps that methods compare stage by stage, under the names of their terms, and readings of other layers."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from cktf.batch import Activations, Reading, Shapes
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext


def last_maps(activations: Activations) -> dict[str, Tensor]:
    """Return the stem's map and the map of each stage's last block: ``stem``, ``stage1``, ``stage2``, ..."""
    stages = {f"stage{number}": blocks[-1] for number, blocks in enumerate(activations.stages, start=1)}
    return {"stem": activations.stem, **stages}


def partners(
    student: Shapes, teacher: Shapes, key: str, remedy: str = "weight: 0", *, equal: bool = False
) -> dict[str, str]:
    """Return for each stage of the student, ``stage1``, ``stage2``, ..., the teacher's stage it is compared with.

    A student with fewer stages is paired from the end: its last stage with the teacher's last, and so on.

    Raises:
        ValueError: If the student has more stages or, where they must be ``equal``, fewer; the message has ``key``,
            the path of the setting that asks for the comparison, and ``remedy``, a setting that keeps the networks.
    """
    count, others = len(student.stages), len(teacher.stages)
    if count > others or (equal and count < others):
        raise InputError(
            f"{key}: stage is paired with stage, but the student has {count} and the teacher {others}; choose networks "
            f"with equally many, or {remedy}"
        )
    return {f"stage{number}": f"stage{number + others - count}" for number in range(1, count + 1)}


def paired_stages(given: BuildContext, key: str, *, equal: bool = False) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return for each stage of the student the shapes (channels, height, width) of its map and its partner's."""
    names = partners(given.student, given.teacher, key, equal=equal)
    pairs = zip(given.student.stages, given.teacher.stages[-len(names) :], strict=True)
    return {name: (student[-1], teacher[-1]) for name, (student, teacher) in zip(names, pairs, strict=True)}


def paired_maps(given: BuildContext, key: str, *, equal: bool = False) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Return the shapes of both stems, as ``stem``, and then `paired_stages`."""
    return {"stem": (given.student.stem, given.teacher.stem)} | paired_stages(given, key, equal=equal)


def matched_stages(student: Activations, teacher: Activations) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield for each stage of the student its name, and its map and its partner's, float32."""
    pairs = zip(student.stages, teacher.stages[-len(student.stages) :], strict=True)
    for number, (of_student, of_teacher) in enumerate(pairs, start=1):
        yield f"stage{number}", (of_student[-1].float(), of_teacher[-1].float())


def require_known(name: str, given: BuildContext) -> None:
    """Raise a `NoRepresentation` if a representation, ``penultimate`` or ``stages``, of either network is not known."""
    for network in (given.student, given.teacher):
        getattr(network, name)


def require_preactivations(method: str, given: BuildContext, *roles: str, remedy: str = "") -> None:
    """Raise an InputError if the networks of some roles, ``student`` or ``teacher``, return no preactivations."""
    for role in roles:
        if not getattr(given, role).preactivations:
            raise InputError(
                f"objective.{method}: what the ReLU at a stage's end reads is compared, and {role}.model does not give "
                f"it, as no torchvision/ or timm/ network does; choose another {role}.model, {remedy}or "
                f"objective.{method}.weight: 0"
            )


def reading_of(layer: Literal["logits", "penultimate"], network: Shapes) -> Reading:
    """Return the reading of a network's logits or penultimate vector."""
    return Reading(layer, getattr(network, layer), of_batch=False, compute=lambda network, _: getattr(network, layer))
