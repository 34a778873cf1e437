"""Agreement, divergence and CKA against their definitions, sample by sample."""

import math

import pytest
import torch

from cktf.trainer.health import agreement, divergence, linear_cka


@pytest.fixture
def sides():
    generator = torch.Generator().manual_seed(5)
    return torch.randn(9, 4, generator=generator), torch.randn(9, 6, generator=generator)


def hsic(one, other):
    """Hilbert-Schmidt independence criterion of two matrices of products of samples, but for its constant factor."""
    n = len(one)
    centring = torch.eye(n, dtype=one.dtype) - torch.full((n, n), 1 / n, dtype=one.dtype)
    return torch.trace(one @ centring @ other @ centring)


def test_linear_cka_is_the_normalised_hsic_of_its_definition(sides):
    ours, theirs = (side.double() + 3 for side in sides)
    kernels = ours @ ours.T, theirs @ theirs.T
    expected = hsic(*kernels) / (hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1])).sqrt()
    torch.testing.assert_close(linear_cka(ours, theirs), expected)


def test_linear_cka_of_three_samples_by_hand():
    # Centred: x = (-1, 0, 1) and y = (-1, 1, 0); so (x.y)^2 / (x.x y.y) = 1 / 4.
    found = linear_cka(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [2.0], [1.0]]))
    assert found.item() == pytest.approx(0.25)


def test_linear_cka_sees_neither_rotation_nor_scale_nor_shift(sides):
    ours, theirs = sides
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1))).Q
    found = linear_cka(ours, theirs)
    assert 0 < found < 1
    torch.testing.assert_close(linear_cka(7 * ours @ rotation - 2, theirs), found, rtol=1e-5, atol=0)
    assert linear_cka(ours, ours @ rotation).item() == pytest.approx(1)
    assert linear_cka(ours, torch.ones(9, 2)).isnan()


def test_the_divergence_is_of_the_teacher_from_the_student(sides):
    student, teacher = sides[0], sides[0].flip(0)
    total = 0.0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        q, p = ([math.exp(x) / sum(map(math.exp, row)) for x in row] for row in (ours, theirs))
        total += sum(b * math.log(b / a) for a, b in zip(q, p, strict=True))
    assert divergence(student, teacher).item() == pytest.approx(total / 9, rel=1e-6)
    # By hand: p = (1/2, 1/2), q = (1/4, 3/4).
    found = divergence(torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2))
    assert found.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-6)


def test_agreement_is_of_first_choices():
    student = torch.tensor([[2.0, 1.0], [0.0, 5.0], [1.0, 0.0], [3.0, 4.0]])
    teacher = torch.tensor([[9.0, 1.0], [4.0, 0.0], [1.0, 0.5], [0.0, 0.1]])
    assert agreement(student, teacher).item() == 75
