"""Decoupled knowledge distillation, and standardised logits."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.dkd import DKD, decoupled_divergences
from cktf.objectives.kd import softened_divergence, standardised
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published

LABELS = torch.tensor([0, 3, 4, 2])


def logits(seed: int) -> Tensor:
    return torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_divergences(student: Tensor, teacher: Tensor, temperature: float) -> tuple[float, float]:
    target = others = 0.0
    for ours, theirs, label in zip(student.tolist(), teacher.tolist(), LABELS.tolist(), strict=True):
        q, p = ([math.exp(value / temperature) for value in row] for row in (ours, theirs))
        rest_q, rest_p = sum(q) - q[label], sum(p) - p[label]
        for pi, qi in ((p[label], q[label]), (rest_p, rest_q)):
            target += pi / sum(p) * math.log((pi / sum(p)) / (qi / sum(q)))
        for number in range(len(p)):
            if number != label:
                others += p[number] / rest_p * math.log((p[number] / rest_p) / (q[number] / rest_q))
    return temperature**2 * target / len(student), temperature**2 * others / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_both_parts_equal_a_plain_loop(temperature: float) -> None:
    found = decoupled_divergences(logits(0), logits(1), LABELS, temperature)
    assert [float(part) for part in found] == pytest.approx(slow_divergences(logits(0), logits(1), temperature))


def test_both_parts_by_hand() -> None:
    # p = (1/2, 3/8, 1/8), label 0; q even. b is (1/2, 1/2) and (1/3, 2/3); of the others (3/4, 1/4) and (1/2, 1/2).
    teacher = torch.tensor([[math.log(4), math.log(3), 0.0]])
    target, others = decoupled_divergences(torch.zeros(1, 3), teacher, torch.tensor([0]), 1.0)
    assert float(target) == pytest.approx(0.5 * math.log(1.5) + 0.5 * math.log(0.75))
    assert float(others) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


def test_with_the_teachers_doubt_as_factor_the_sum_is_knowledge_distillation() -> None:
    total = 0.0
    for row in range(4):
        each = logits(0)[[row]], logits(1)[[row]]
        target, others = decoupled_divergences(*each, LABELS[[row]], 4.0)
        doubt = 1 - (each[1] / 4).softmax(1)[0, LABELS[row]]
        total += float(target + doubt * others)
        assert float(target + doubt * others) == pytest.approx(float(softened_divergence(*each, 4.0)))


def test_gradient() -> None:
    student = logits(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: decoupled_divergences(value, logits(1), LABELS, 2.0), student)


def test_a_sure_network_gives_finite_losses() -> None:
    sure = torch.zeros(1, 3).index_fill_(1, torch.tensor([1]), 2000.0).requires_grad_()
    losses = decoupled_divergences(sure, torch.zeros(1, 3), torch.tensor([1]), 1.0)
    torch.autograd.backward(losses)
    assert all(loss.isfinite() for loss in losses)
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_standardised_logits_equal_a_plain_loop_and_have_neither_shift_nor_scale() -> None:
    for row, found in zip(logits(0).tolist(), standardised(logits(0)).tolist(), strict=True):
        mean = sum(row) / 5
        deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / 4)
        assert found == pytest.approx([(value - mean) / (deviation + 1e-7) for value in row])
    torch.testing.assert_close(standardised(3 * logits(0) - 7), standardised(logits(0)), rtol=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(standardised, logits(0).requires_grad_())


def test_terms_grow_in_the_warm_up_and_those_without_a_factor_are_left_out(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    dkd = DKD(DKD.Config(warmup_epochs=4), given)
    dkd.warm_up.begin_epoch(4, 9)
    whole = dkd(student, teacher, batch)
    assert list(whole) == list(dkd.term_weights) == ["target", "others"]
    for epoch, factor in ((1, 0.25), (3, 0.75), (9, 1.0)):
        dkd.warm_up.begin_epoch(epoch, 9)
        for name, value in dkd(student, teacher, batch).items():
            torch.testing.assert_close(value, factor * whole[name])
    without = DKD(DKD.Config(alpha=0, warmup_epochs=0), given)
    assert without(student, teacher, batch) == {"others": whole["others"]}
    assert not DKD.Config(alpha=0, beta=0).active


@pytest.mark.parametrize(
    "path", [*MODERN.get("dkd", []), *MODERN.get("dkd_standardized", [])], ids=lambda path: path.stem
)
def test_the_published_code_gives_the_same(path: Path, given: BuildContext, student: Activations) -> None:
    case = Case(path)
    settings = {name: case.meta[name] for name in ("alpha", "beta", "temperature")}
    is_standardised = case.meta["method"] == "dkd_standardized"
    config = DKD.Config.model_validate({**settings, "standardize": is_standardised, "warmup_epochs": 0})
    ours = replace(student, logits=case["logits_s"].requires_grad_())
    batch = Batch(torch.empty(0), case["target"], case["target"], step=0)
    dkd = DKD(config, given)
    terms = dkd(ours, replace(student, logits=case["logits_t"]), batch)
    loss = sum(dkd.term_weights[name] * value for name, value in terms.items())
    (gradient,) = torch.autograd.grad(loss, ours.logits)
    found = (loss, terms["target"], terms["others"], gradient)
    names = "loss", "loss_tckd", "loss_nckd", "grad_logits_s"
    for name, value in zip(names, found, strict=True):
        assert_as_published(value, case[name])
