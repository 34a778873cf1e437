"""Neuron selectivity transfer."""

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.nst import NST, selectivity_loss
from tests.objectives.drawn import drawn

FEW_POSITIONS = (2, 6, 2, 2), (2, 5, 2, 2)
MANY_POSITIONS = (2, 3, 3, 4), (2, 2, 3, 4)
"""Shapes of student and teacher: each way of computing the loss is taken once."""


def slow_mean_kernel(first: Tensor, second: Tensor) -> float:
    kernels = []
    for a in first.flatten(1):
        for b in second.flatten(1):
            kernels.append(float(torch.dot(a, b) / (a.norm() * b.norm())) ** 2)
    return sum(kernels) / len(kernels)


@pytest.mark.parametrize("shapes", [FEW_POSITIONS, MANY_POSITIONS])
def test_the_loss_equals_a_plain_loop(shapes: tuple[tuple[int, ...], ...]) -> None:
    student, teacher = drawn(0, *shapes[0]), drawn(1, *shapes[1])
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        own = slow_mean_kernel(ours, ours) + slow_mean_kernel(theirs, theirs)
        total += own - 2 * slow_mean_kernel(ours, theirs)
    assert float(selectivity_loss(student, teacher)) == pytest.approx(total / len(student))


def test_the_loss_by_hand() -> None:
    # The student's two channels look at one position each, the teacher's one at both alike: the kernels are
    # 1/2 (the means of 1, 0, 0, 1), 1, and 1/2 (cosines of 1 / sqrt(2)).
    student, teacher = torch.tensor([[[[5.0, 0.0]], [[0.0, 3.0]]]]), torch.tensor([[[[2.0, 2.0]]]])
    assert float(selectivity_loss(student, teacher)) == pytest.approx(0.5 + 1 - 2 * 0.5)


@pytest.mark.parametrize("shapes", [FEW_POSITIONS, MANY_POSITIONS])
def test_gradient(shapes: tuple[tuple[int, ...], ...]) -> None:
    student, teacher = drawn(0, *shapes[0]).requires_grad_(), drawn(1, *shapes[1])
    assert torch.autograd.gradcheck(lambda value: selectivity_loss(value, teacher), student)


@pytest.mark.parametrize("shapes", [FEW_POSITIONS, MANY_POSITIONS])
def test_neither_the_order_nor_the_scale_nor_the_repetition_of_channels_matters(
    shapes: tuple[tuple[int, ...], ...],
) -> None:
    student, teacher = drawn(0, *shapes[0]), drawn(1, *shapes[1])
    moved = torch.cat([student.flip(1), 3 * student], dim=1)
    torch.testing.assert_close(selectivity_loss(moved, teacher), selectivity_loss(student, teacher))
    assert float(selectivity_loss(moved, student)) == pytest.approx(0, abs=1e-12)


def test_the_larger_map_is_averaged_to_the_smaller_one() -> None:
    small, large = drawn(0, 2, 3, 2, 2), drawn(1, 2, 5, 4, 4)
    averaged = large.view(2, 5, 2, 2, 2, 2).mean((3, 5))
    torch.testing.assert_close(selectivity_loss(large, small), selectivity_loss(averaged, small))
    torch.testing.assert_close(selectivity_loss(small, large), selectivity_loss(small, averaged))


def test_every_stage_has_a_term_of_its_own(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    nst = NST(NST.Config(), given)
    terms = nst(student, teacher, batch)
    assert list(terms) == list(nst.term_weights) == ["stage1", "stage2", "stage3"]
    for number, value in enumerate(terms.values()):
        assert torch.equal(value, selectivity_loss(student.stages[number][-1], teacher.stages[number][-1]))
