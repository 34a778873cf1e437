"""Pairing: which of a teacher stage's blocks the last block of the student's stage is matched with."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.parts.maps import pad_channels
from cktf.objectives.parts.workers import sum_over_workers

Pairing = Literal["last", "first", "random", "largest", "smallest"]

BY_SIMILARITY: tuple[Pairing, ...] = ("largest", "smallest")
"""Pairings that compare the student's map with the teacher's; the others know the block without it."""


def choose_block(
    pairing: Pairing,
    student: Tensor | None,
    teacher: tuple[Tensor, ...],
    transform: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    batch: Batch,
) -> int:
    """Return the number of the teacher's block that the student's map is matched with in this batch.

    Args:
        pairing: ``last``, ``first``, ``random``, or by the maps' similarity ``largest``, ``smallest``.
        student: (batch, channels, height, width): the map, transformed; None where ``pairing`` is not one of
            `BY_SIMILARITY`.
        teacher: The maps of the teacher's blocks, not yet transformed.
        transform: Applied to each of the teacher's maps before it is compared.
        generator: A CPU generator that ``random`` draws from.
        batch: The batch, of which this worker may hold a shard.
    """
    match pairing:
        case "last":
            return len(teacher) - 1
        case "first":
            return 0
        case "random":
            return int(torch.randint(len(teacher), (), generator=generator))
        case "largest" | "smallest":
            assert student is not None, "a pairing of BY_SIMILARITY reads the student's map"
            similarities = torch.stack([map_similarity(student, transform(block), batch) for block in teacher])
            return int(similarities.argmax() if pairing == "largest" else similarities.argmin())


@torch.no_grad()
def map_similarity(student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """Return the cosine similarity of two maps of a whole batch, the narrower one padded; a scalar.

    It is computed over the samples of all workers, so that all choose the same block.
    """
    student, teacher = pad_channels(student, teacher.shape[1]), pad_channels(teacher, student.shape[1])
    products = [(student * teacher).sum(), student.square().sum(), teacher.square().sum()]
    shared, of_student, of_teacher = sum_over_workers(torch.stack(products), batch)
    similarity: Tensor = shared / (of_student * of_teacher).sqrt().clamp(min=1e-8)
    return similarity
