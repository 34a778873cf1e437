"""Knowledge distillation from a stronger teacher."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.dist import DIST, relational_losses
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published


def logits(seed: int) -> Tensor:
    return torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_correlation(first: list[float], second: list[float]) -> float:
    first = [value - sum(first) / len(first) for value in first]
    second = [value - sum(second) / len(second) for value in second]
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return product / (math.sqrt(sum(a * a for a in first)) * math.sqrt(sum(b * b for b in second)) + 1e-8)


def slow_losses(student: Tensor, teacher: Tensor, temperature: float) -> list[float]:
    both = []
    for rows in (student.tolist(), teacher.tolist()):
        powers = [[math.exp(value / temperature) for value in row] for row in rows]
        both.append([[value / sum(row) for value in row] for row in powers])
    losses = []
    for q, p in (both, ([*zip(*rows, strict=True)] for rows in both)):
        each = [slow_correlation([*ours], [*theirs]) for ours, theirs in zip(q, p, strict=True)]
        losses.append(temperature**2 * (1 - sum(each) / len(each)))
    return losses


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_both_losses_equal_a_plain_loop(temperature: float) -> None:
    found = relational_losses(logits(0), logits(1), temperature)
    assert [float(loss) for loss in found] == pytest.approx(slow_losses(logits(0), logits(1), temperature))


def test_both_losses_by_hand() -> None:
    # Two classes: a row's correlation is 1 or -1. Of the samples one agrees; each class's samples are exactly opposed.
    student, teacher = torch.tensor([[1.0, 0.0], [1.0, -1.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    inter, intra = relational_losses(student, teacher, 1.0)
    assert float(inter) == pytest.approx(1.0)
    assert float(intra) == pytest.approx(2.0, abs=1e-5)


def test_gradient() -> None:
    student = logits(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: relational_losses(value, logits(1), 2.0), student)


def test_only_the_relation_of_probabilities_matters() -> None:
    # A mixture with the even distribution is a linear map of all probabilities, which no correlation sees.
    teacher = logits(1)
    mixed = (0.3 * teacher.softmax(1) + 0.7 / 4).log()
    assert [float(loss) for loss in relational_losses(mixed, teacher, 1.0)] == pytest.approx([0, 0], abs=1e-6)


def test_a_loss_without_a_factor_is_left_out(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    dist = DIST(DIST.Config(gamma=0), given)
    assert list(dist(student, teacher, batch)) == list(dist.term_weights) == ["inter"]
    assert not DIST.Config(beta=0, gamma=0).active


@pytest.mark.parametrize("path", MODERN.get("dist", []), ids=lambda path: path.stem)
def test_the_published_code_gives_the_same(path: Path, given: BuildContext, student: Activations, batch: Batch) -> None:
    case = Case(path)
    dist = DIST(DIST.Config(beta=case.meta["beta"], gamma=case.meta["gamma"], temperature=case.meta["tau"]), given)
    ours = replace(student, logits=case["logits_s"].requires_grad_())
    terms = dist(ours, replace(student, logits=case["logits_t"]), batch)
    loss = sum(dist.term_weights[name] * value for name, value in terms.items())
    (gradient,) = torch.autograd.grad(loss, ours.logits)
    found = (loss, terms["inter"], terms["intra"], gradient)
    names = "loss", "loss_inter", "loss_intra", "grad_logits_s"
    for name, value in zip(names, found, strict=True):
        assert_as_published(value, case[name])
