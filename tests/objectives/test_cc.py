"""Correlation congruence."""

import pytest
import torch

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.cc import CC, correlation_loss
from tests.objectives.drawn import drawn


def test_the_loss_equals_a_plain_loop() -> None:
    student, teacher = drawn(0, 5, 3), drawn(1, 5, 3)
    total = 0.0
    for i in range(4):
        for k in range(3):
            total += abs(float(student[i, k] - teacher[i, k])) * abs(float(student[i + 1, k] - teacher[i + 1, k]))
    assert float(correlation_loss(student, teacher)) == pytest.approx(total / 4)


def test_the_loss_by_hand() -> None:
    # Gaps (1, 2), (3, 1), (0, 2): neighbours give 1*3 + 2*1 = 5 and 3*0 + 1*2 = 2.
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]])
    teacher = torch.tensor([[2.0, 2.0], [-3.0, 0.0], [4.0, 2.0]])
    assert float(correlation_loss(student, teacher)) == 3.5


def test_gradient() -> None:
    student = drawn(0, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: correlation_loss(value, drawn(1, 4, 3)), student)


def test_a_shift_of_both_embeddings_does_not_matter() -> None:
    student, teacher, shift = drawn(0, 5, 3), drawn(1, 5, 3), drawn(2, 3)
    moved = correlation_loss(student + shift, teacher + shift)
    torch.testing.assert_close(moved, correlation_loss(student, teacher))
    assert correlation_loss(student, student) == 0


def test_both_embeddings_are_trained(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cc = CC(CC.Config(dim=4), given)
    terms = cc(student, teacher, batch)
    assert terms.keys() == {"penultimate"}
    terms["penultimate"].backward()
    assert [tuple(parameter.shape) for parameter in cc.parameters()] == [(4, 8), (4,), (4, 16), (4,)]
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in (*cc.parameters(), student.penultimate)
    )
