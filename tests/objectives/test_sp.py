"""Similarity-preserving knowledge distillation."""

import math

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.sp import SP, similarity_loss
from tests.objectives.drawn import drawn


def slow_similarities(samples: Tensor) -> list[list[float]]:
    rows = []
    for one in samples:
        row = [float((one * other).sum()) for other in samples]
        norm = math.sqrt(sum(value**2 for value in row))
        rows.append([value / norm for value in row])
    return rows


def test_the_loss_equals_a_plain_loop() -> None:
    student, teacher = drawn(0, 4, 3, 2, 2), drawn(1, 4, 5, 3, 3)
    ours, theirs = slow_similarities(student), slow_similarities(teacher)
    total = sum((theirs[i][j] - ours[i][j]) ** 2 for i in range(4) for j in range(4))
    assert float(similarity_loss(student, teacher)) == pytest.approx(total / 4**2)


def test_the_loss_by_hand() -> None:
    # Orthogonal samples: the unit matrix. Equal samples: 1 / sqrt(2) everywhere.
    student, teacher = torch.eye(2), torch.ones(2, 3)
    half = 1 / math.sqrt(2)
    assert float(similarity_loss(student, teacher)) == pytest.approx((2 * (1 - half) ** 2 + 2 * half**2) / 4)


def test_gradient() -> None:
    student = drawn(0, 4, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: similarity_loss(value, drawn(1, 4, 5, 3, 3)), student)


def test_neither_the_order_of_channels_and_positions_nor_the_scale_matters() -> None:
    student, teacher = drawn(0, 4, 3, 2, 2), drawn(1, 4, 5, 3, 3)
    expected = similarity_loss(student, teacher)
    moved = 3 * student[:, [2, 0, 1]].flip(3)
    torch.testing.assert_close(similarity_loss(moved, teacher[:, [4, 0, 3, 1, 2]] / 5), expected)


def test_the_last_stages_are_compared(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    terms = SP(SP.Config(), given)(student, teacher, batch)
    assert terms.keys() == {"last_stage"}
    assert torch.equal(terms["last_stage"], similarity_loss(student.stages[2][0], teacher.stages[2][1]))
