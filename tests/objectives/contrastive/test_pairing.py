"""Pairing of a student stage with a block of the teacher's."""

import pytest
import torch
from torch import Tensor

from cktf import seeding
from cktf.batch import Batch
from cktf.objectives.contrastive.representations import (
    BY_SIMILARITY,
    Pairing,
    drawn_block,
    map_similarity,
    most_similar,
)

ONE = torch.zeros(1, dtype=torch.int64)
BATCH = Batch(torch.zeros(1, 3, 8, 8), ONE, ONE, step=0)


def choose(pairing: Pairing, student: Tensor, teacher: tuple[Tensor, ...], step: int = 0) -> int:
    if pairing in BY_SIMILARITY:
        return int(most_similar(pairing, student, torch.stack(teacher), BATCH))
    return int(drawn_block(len(teacher), seeding.generator(0, "pairing", step)))


def maps(*values: float) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


STUDENT = maps(1.0, 0.0)
TEACHER = (maps(0.0, 2.0), maps(9.0, 0.1), maps(-1.0, 0.0), maps(1.0, 1.0))


@pytest.mark.parametrize(("pairing", "block"), [("largest", 1), ("smallest", 2)])
def test_block_by_similarity(pairing: Pairing, block: int) -> None:
    assert choose(pairing, STUDENT, TEACHER) == block


def test_random_blocks_are_addressed_and_all_come() -> None:
    blocks = [choose("random", STUDENT, TEACHER, step) for step in range(100)]
    assert blocks == [choose("random", STUDENT, TEACHER, step) for step in range(100)]
    assert min(blocks.count(block) for block in range(4)) > 10


def test_similarity_by_hand_and_with_a_narrower_student() -> None:
    assert float(map_similarity(maps(3.0, 4.0), maps(4.0, 3.0), BATCH)) == pytest.approx(24 / 25)
    assert float(map_similarity(maps(2.0), maps(5.0, 3.0, 4.0), BATCH)) == pytest.approx(3 / 50**0.5)
