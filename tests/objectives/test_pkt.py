"""Probabilistic knowledge transfer."""

import math

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.pkt import PKT, neighbour_divergence, neighbour_probabilities
from tests.objectives.drawn import drawn


def slow_probabilities(samples: Tensor) -> list[list[float]]:
    rows = []
    for one in samples:
        row = [float(torch.dot(one, other) / (one.norm() * other.norm()) + 1) / 2 for other in samples]
        rows.append([value / sum(row) for value in row])
    return rows


def test_the_divergence_equals_a_plain_loop() -> None:
    student, teacher = drawn(0, 5, 3), drawn(1, 5, 4)
    q, p = slow_probabilities(student), slow_probabilities(teacher)
    total = sum(p[i][j] * math.log(p[i][j] / q[i][j]) for i in range(5) for j in range(5))
    assert float(neighbour_divergence(student, teacher)) == pytest.approx(total / 25, rel=1e-5)


def test_probabilities_and_divergence_by_hand() -> None:
    # Orthogonal samples have affinities 1 and 1/2, hence 2/3 and 1/3; equal ones 1/2 and 1/2.
    student, teacher = torch.eye(2), torch.ones(2, 3)
    torch.testing.assert_close(neighbour_probabilities(student), torch.tensor([[2.0, 1], [1, 2]]) / 3)
    expected = (0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))) / 2
    assert float(neighbour_divergence(student, teacher)) == pytest.approx(expected, rel=1e-5)


def test_gradient() -> None:
    student = drawn(0, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: neighbour_divergence(value, drawn(1, 4, 2)), student)


def test_rotation_of_all_and_scale_of_each_embedding_do_not_matter() -> None:
    student, teacher = drawn(0, 5, 3), drawn(1, 5, 4)
    rotation, _ = torch.linalg.qr(drawn(2, 3, 3))
    moved = student @ rotation * torch.tensor([1, 2, 3, 4, 5])[:, None]
    torch.testing.assert_close(neighbour_divergence(moved, teacher), neighbour_divergence(student, teacher))
    assert float(neighbour_divergence(moved, student)) == pytest.approx(0, abs=1e-12)


def test_the_penultimate_vectors_are_compared(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    terms = PKT(PKT.Config(), given)(student, teacher, batch)
    assert terms.keys() == {"penultimate"}
    assert torch.equal(terms["penultimate"], neighbour_divergence(student.penultimate, teacher.penultimate))
