"""Knowledge distillation."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.kd import KD, softened_divergence
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published


def slow_divergence(student: Tensor, teacher: Tensor, temperature: float) -> float:
    total = 0.0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        q = [math.exp(value / temperature) for value in ours]
        p = [math.exp(value / temperature) for value in theirs]
        for qi, pi in zip(q, p, strict=True):
            total += pi / sum(p) * math.log((pi / sum(p)) / (qi / sum(q)))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_divergence_equals_a_plain_loop(temperature: float) -> None:
    student, teacher = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = slow_divergence(student, teacher, temperature)
    assert math.isclose(float(softened_divergence(student, teacher, temperature)), expected, rel_tol=1e-9)


def test_divergence_of_a_sure_teacher_from_an_even_student_by_hand() -> None:
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 log(3/2) + 1/4 log(1/2)
    teacher = torch.tensor([[math.log(3), 0.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert math.isclose(float(softened_divergence(torch.zeros(1, 2), teacher, 1.0)), expected, rel_tol=1e-6)


def test_divergence_ignores_a_shift_of_all_logits_and_vanishes_for_equal_ones() -> None:
    student, teacher = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    moved = softened_divergence(student + 3, teacher - 2, 4.0)
    torch.testing.assert_close(moved, softened_divergence(student, teacher, 4.0), rtol=1e-5, atol=1e-6)
    assert abs(float(softened_divergence(teacher + 1, teacher, 4.0))) < 1e-6


def test_gradient_of_the_divergence_is_the_assert_as_published_of_probabilities() -> None:
    student, teacher = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(softened_divergence(student, teacher, 4.0), student)
    expected = 4.0 * ((student / 4).softmax(1) - (teacher / 4).softmax(1)) / 7
    torch.testing.assert_close(gradient, expected.detach())


def test_temperature_must_be_positive() -> None:
    with pytest.raises(ValueError, match="temperature"):
        KD.Config(temperature=0)


@pytest.mark.parametrize("path", MODERN.get("kd_standardized", []), ids=lambda path: path.stem)
def test_of_standardised_logits_the_published_code_gives_the_same(
    path: Path, given: BuildContext, student: Activations, batch: Batch
) -> None:
    case = Case(path)
    kd = KD(KD.Config(temperature=case.meta["temperature"], standardize=True), given)
    ours = replace(student, logits=case["logits_s"].requires_grad_())
    loss = kd(ours, replace(student, logits=case["logits_t"]), batch)["logits"]
    (gradient,) = torch.autograd.grad(loss, ours.logits)
    assert_as_published(loss, case["loss"])
    assert_as_published(gradient, case["grad_logits_s"])
