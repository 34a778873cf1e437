"""Attention transfer."""

import math

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.at import AT, attention_loss
from tests.objectives.drawn import drawn


def slow_attention(sample: Tensor, power: int) -> list[float]:
    channels, height, width = sample.shape
    sums = [sum(float(sample[c, y, x]) ** power for c in range(channels)) for y in range(height) for x in range(width)]
    norm = math.sqrt(sum(value**2 for value in sums))
    return [value / norm for value in sums]


@pytest.mark.parametrize("power", [1, 2, 4])
def test_the_loss_equals_a_plain_loop(power: int) -> None:
    student, teacher = drawn(0, 2, 3, 2, 4), drawn(1, 2, 5, 2, 4)
    squares = [
        (ours - theirs) ** 2
        for one, other in zip(student, teacher, strict=True)
        for ours, theirs in zip(slow_attention(one, power), slow_attention(other, power), strict=True)
    ]
    assert float(attention_loss(student, teacher, power)) == pytest.approx(sum(squares) / len(squares))


def test_the_loss_by_hand() -> None:
    # One channel (3, 4) has squares 9 and 16, divided by sqrt(337); the other (0, 1) has attention (0, 1).
    student, teacher = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    expected = ((9 / math.sqrt(337)) ** 2 + (16 / math.sqrt(337) - 1) ** 2) / 2
    assert float(attention_loss(student, teacher, 2)) == pytest.approx(expected)


def test_gradient() -> None:
    student = drawn(0, 2, 3, 4, 4).requires_grad_()
    for teacher in (drawn(1, 2, 5, 4, 4), drawn(1, 2, 5, 2, 2), drawn(1, 2, 5, 8, 8)):
        assert torch.autograd.gradcheck(lambda value, other=teacher: attention_loss(value, other, 2), student)


def test_neither_the_order_of_channels_nor_the_scale_of_a_map_matters() -> None:
    student, teacher = drawn(0, 2, 4, 3, 3), drawn(1, 2, 5, 3, 3)
    expected = attention_loss(student, teacher, 2)
    torch.testing.assert_close(attention_loss(7 * student[:, [2, 0, 3, 1]], teacher / 3, 2), expected)
    assert float(attention_loss(-2 * teacher, teacher, 2)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("wider", ["student", "teacher"])
def test_the_larger_map_is_averaged_to_the_smaller_one(wider: str) -> None:
    small, large = drawn(0, 2, 4, 2, 2), drawn(1, 2, 4, 4, 4)
    averaged = large.view(2, 4, 2, 2, 2, 2).mean((3, 5))
    given = (large, small) if wider == "student" else (small, large)
    torch.testing.assert_close(attention_loss(*given, 2), attention_loss(averaged, small, 2))


def test_every_stage_has_a_term_of_its_own(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    at = AT(AT.Config(power=4), given)
    terms = at(student, teacher, batch)
    assert list(terms) == list(at.term_weights) == ["stage1", "stage2", "stage3"]
    for number, value in enumerate(terms.values()):
        assert torch.equal(value, attention_loss(student.stages[number][-1], teacher.stages[number][-1], 4))
