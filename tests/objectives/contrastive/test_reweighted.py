"""InfoNCE with negatives weighed by hardness and several positives: loss, gradients, tiles, range."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import ModuleType

import pytest
import torch
from torch import Tensor

from cktf.objectives.contrastive import nce as contrast
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.contrastive.reweighted import reweighted_loss
from tests.objectives.contrastive.one_side import info_nce_loss, shapes_saved_for_backward
from tests.objectives.contrastive.test_info_nce import BATCH, CANDIDATES, case, leaves, weights


def several(kind: str) -> Negatives:
    """Return `weights` and, of the candidates that are no negatives, some as positives; the last anchor has neither."""
    chosen = weights(kind)
    generator = torch.Generator().manual_seed(2)
    positives = (torch.rand(BATCH, CANDIDATES, generator=generator) < 0.3) & (chosen.weights == 0)
    positives[-1] = False
    chosen.weights[-1] = 0
    return Negatives(
        chosen.weights.double(), chosen.count, chosen.distinct, scale=chosen.scale, positives=positives.double()
    )


def slow_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, temperature: float, beta: float
) -> Tensor:
    """Return the loss as it is written, one candidate at a time."""
    total = torch.zeros((), dtype=torch.float64)
    for number, (anchor, positive) in enumerate(zip(anchors, positives, strict=True)):
        scale = 1 if negatives.scale is None else float(negatives.scale[number])
        drawn_to, count = [torch.exp(anchor @ positive / temperature)], 0.0
        hard = soft = total.new_zeros(())
        for column, row in enumerate(rows):
            e, weight = torch.exp(anchor @ row / temperature), scale * float(negatives.weights[number, column])
            if weight > 0:
                hard, soft, count = hard + weight * e ** (1 + beta), soft + weight * e**beta, count + weight
            if negatives.positives is not None and negatives.positives[number, column] > 0:
                drawn_to.append(e)
        against = hard * count / soft if count else 0.0
        everything = torch.stack(drawn_to).sum() + against
        total = total - torch.stack([torch.log(e / everything) for e in drawn_to]).mean()
    return total / len(anchors)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("tile", [4 * 5, 2**20])
@pytest.mark.parametrize("kind", ["once", "repeated", "scaled"])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_loss_and_all_gradients_equal_the_formula(
    temperature: float, tile: int, kind: str, beta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "TILE_ELEMENTS", tile)
    fast, slow = leaves(), leaves()
    loss = reweighted_loss(*fast, several(kind), temperature=temperature, hardness=beta)
    expected = slow_loss(*slow, several(kind), temperature, beta)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(3 * loss, fast), torch.autograd.grad(3 * expected, slow), rtol=1e-6, atol=1e-9
    )


def test_gradients_of_anchors_positives_and_rows_are_those_of_the_loss() -> None:
    assert torch.autograd.gradcheck(
        lambda anchors, positives, rows: reweighted_loss(
            anchors, positives, rows, several("scaled"), temperature=0.5, hardness=1.5
        ),
        leaves(),
    )


def test_without_hardness_and_further_positives_it_is_infonce() -> None:
    results = []
    losses: list[Callable[..., Tensor]] = [info_nce_loss, partial(reweighted_loss, hardness=0.0)]
    for loss in losses:
        values = leaves()
        found = loss(*values, weights("scaled"), temperature=0.1)
        results.append((found, *torch.autograd.grad(found, values)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-7, atol=1e-9)


def test_loss_of_two_positives_and_two_negatives_by_hand() -> None:
    # tau = 1 / log 2: e = 2 for the own positive, 1 for the further one, and 1 and 2 for the negatives. With beta 1
    # N = (1 + 4) 2 / (1 + 2) = 10 / 3, and the loss is log(2 + 1 + 10 / 3) - (log 2 + log 1) / 2.
    rows = torch.tensor([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0]])
    negatives = Negatives(torch.tensor([[0.0, 1.0, 1.0]]), 2, distinct=True, positives=torch.tensor([[1.0, 0.0, 0.0]]))
    loss = reweighted_loss(rows[2:], rows[2:], rows, negatives, temperature=1 / math.log(2), hardness=1.0)
    assert math.isclose(float(loss), math.log(19 / 3) - math.log(2) / 2, rel_tol=1e-6)


@pytest.mark.parametrize("kind", ["once", "scaled"])
def test_the_fused_kernel_takes_its_sums_too(kind: str, fused_kernel: ModuleType) -> None:
    negatives, fast, slow = several(kind), case(torch.float32), case()
    assert contrast.kernel_for(torch.device("cpu"), fast[0].shape[1]) is fused_kernel
    assert negatives.positives is not None
    single = replace(negatives, weights=negatives.weights.float(), positives=negatives.positives.float())
    for values in (fast, slow):
        for value in values:
            value.requires_grad_()
    loss = reweighted_loss(*fast, single, temperature=0.1, hardness=0.7)
    expected = slow_loss(*slow, negatives, 0.1, 0.7)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    for found, of_slow in zip(torch.autograd.grad(loss, fast), torch.autograd.grad(expected, slow), strict=True):
        torch.testing.assert_close(found.double(), of_slow, rtol=1e-4, atol=1e-4 * float(of_slow.abs().max()))


@pytest.mark.parametrize("length", [1.0, 30.0])
def test_float32_keeps_to_float64_however_large_the_scores(length: float) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        anchors, positives, rows = case(dtype)
        negatives = Negatives(several("once").weights.to(dtype), 6, distinct=True)
        anchors = (length * anchors).requires_grad_()
        loss = reweighted_loss(anchors, positives, rows, negatives, temperature=0.02, hardness=2.0)
        (gradient,) = torch.autograd.grad(loss, anchors)
        results.append((loss.detach().double(), gradient.double()))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_candidates() -> None:
    anchors, positives, rows = case()
    with shapes_saved_for_backward() as saved:
        reweighted_loss(anchors.requires_grad_(), positives, rows, several("once"), temperature=0.1, hardness=1.0)
    assert saved
    assert not any(CANDIDATES in shape for shape in saved)
