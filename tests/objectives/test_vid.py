"""Variational information distillation."""

import math

import pytest
import torch

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.vid import VID, GaussianRegressor, negative_log_likelihood
from tests.objectives.drawn import drawn


def test_the_loss_equals_a_plain_loop() -> None:
    mean, teacher, variance = drawn(0, 2, 3, 2, 4), drawn(1, 2, 3, 2, 4), drawn(2, 3).exp()
    values = [
        0.5 * (float(teacher[i, c, y, x] - mean[i, c, y, x]) ** 2 / float(variance[c]) + math.log(variance[c]))
        for i in range(2)
        for c in range(3)
        for y in range(2)
        for x in range(4)
    ]
    expected = sum(values) / len(values)
    assert float(negative_log_likelihood(mean, variance, teacher)) == pytest.approx(expected)


def test_the_loss_by_hand() -> None:
    # Two standard deviations off at a variance of e: (4 e / e + 1) / 2.
    mean, teacher = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2 * math.sqrt(math.e))
    assert float(negative_log_likelihood(mean, torch.tensor([math.e]), teacher)) == pytest.approx(2.5)


def test_gradient() -> None:
    mean, variance = drawn(0, 2, 3, 2, 2).requires_grad_(), drawn(2, 3).exp().requires_grad_()
    teacher = drawn(1, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(
        lambda mean, variance: negative_log_likelihood(mean, variance, teacher), (mean, variance)
    )


def test_the_loss_is_least_where_the_variance_is_the_mean_squared_error() -> None:
    mean, teacher = drawn(0, 4, 2, 3, 3), drawn(1, 4, 2, 3, 3)
    variance = (mean - teacher).square().mean((0, 2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(negative_log_likelihood(mean, variance, teacher), variance)
    torch.testing.assert_close(gradient, torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize(("initial", "smallest"), [(5.0, 1e-5), (0.1, 0.05), (100.0, 1e-8)])
def test_the_variance_begins_as_set_and_never_falls_below_the_smallest(initial: float, smallest: float) -> None:
    regressor = GaussianRegressor(2, 3, initial, smallest)
    _, variance = regressor(torch.zeros(1, 2, 1, 1))
    torch.testing.assert_close(variance, torch.full((3,), initial))
    with torch.no_grad():
        regressor.log_scale.fill_(-200)
    torch.testing.assert_close(regressor(torch.zeros(1, 2, 1, 1))[1], torch.full((3,), smallest))


def test_every_stage_has_a_term_and_a_regressor_of_its_own(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    vid = VID(VID.Config(), given)
    terms = vid(student, teacher, batch)
    assert list(terms) == list(vid.term_weights) == ["stage1", "stage2", "stage3"]
    mean, variance = vid.regressors["stage2"](student.stages[1][-1])
    expected = negative_log_likelihood(mean, variance, teacher.stages[1][-1])
    assert torch.equal(terms["stage2"], expected)
    sum(terms.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in vid.parameters())
