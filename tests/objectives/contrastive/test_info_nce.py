"""The contrast by softmax: loss, gradients, tiles, weights, range."""

import math

import pytest
import torch
from torch import Tensor

from cktf.objectives.contrastive import nce as contrast
from cktf.objectives.contrastive.negatives import Negatives
from tests.objectives.contrastive.one_side import info_nce_loss, shapes_saved_for_backward

BATCH, CANDIDATES, DIM = 4, 23, 3


def case(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return anchors, positives and rows, L2-normalised."""
    generator = torch.Generator().manual_seed(0)
    anchors, positives, rows = (
        torch.nn.functional.normalize(torch.randn(count, DIM, generator=generator, dtype=torch.float64), dim=1).to(
            dtype
        )
        for count in (BATCH, BATCH, CANDIDATES)
    )
    return anchors, positives, rows


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    """Return those of `case`, with gradients."""
    anchors, positives, rows = case()
    return anchors.requires_grad_(), positives.requires_grad_(), rows.requires_grad_()


def weights(kind: str) -> Negatives:
    """Return which candidates count: once each, several times, or every one by a factor of the anchor."""
    generator = torch.Generator().manual_seed(1)
    chosen = torch.rand(BATCH, CANDIDATES, generator=generator).argsort(1) < 6
    if kind == "once":
        return Negatives(chosen.double(), 6, distinct=True)
    if kind == "repeated":
        return Negatives(chosen * torch.randint(1, 4, chosen.shape, generator=generator), 6, distinct=False)
    return Negatives(chosen.double(), 6, distinct=True, scale=torch.tensor([0.1, 2.0, 3.5, 1.0]))


def slow_loss(anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, temperature: float) -> Tensor:
    """Return the loss as it is written, one candidate at a time."""
    total = torch.zeros((), dtype=anchors.dtype)
    for number, (anchor, positive) in enumerate(zip(anchors, positives, strict=True)):
        own = torch.exp(anchor @ positive / temperature)
        scale = 1 if negatives.scale is None else float(negatives.scale[number])
        others = [
            float(weight) * scale * torch.exp(anchor @ row / temperature)
            for row, weight in zip(rows, negatives.weights[number], strict=True)
        ]
        total = total - torch.log(own / (own + torch.stack(others).sum()))
    return total / len(anchors)


@pytest.mark.parametrize("temperature", [0.02, 1.0])
@pytest.mark.parametrize("tile", [1, 4 * 5, 2**20])
@pytest.mark.parametrize("kind", ["once", "repeated", "scaled"])
def test_loss_and_all_gradients_equal_the_formula(
    temperature: float, tile: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "TILE_ELEMENTS", tile)
    fast, slow = leaves(), leaves()
    loss = info_nce_loss(*fast, weights(kind), temperature=temperature)
    expected = slow_loss(*slow, weights(kind), temperature)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(3 * loss, fast), torch.autograd.grad(3 * expected, slow), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(("is_native", "tolerance"), [(True, 2e-2), (False, 1e-4)])
@pytest.mark.parametrize("kind", ["once", "repeated"])
def test_rows_in_bfloat16_have_the_loss_and_gradient_of_their_values(
    kind: str, is_native: bool, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "multiplies_bfloat16", lambda _: is_native)
    anchors, positives, rows = case(torch.float32)
    rows = rows.bfloat16()
    fast, slow = anchors.clone().requires_grad_(), anchors.double().requires_grad_()
    loss = info_nce_loss(fast, positives, rows, weights(kind), temperature=0.1)
    expected = slow_loss(slow, positives.double(), rows.double(), weights(kind), 0.1)
    torch.autograd.backward([loss, expected])
    torch.testing.assert_close(loss.double(), expected, rtol=tolerance, atol=0)
    assert slow.grad is not None
    assert fast.grad is not None
    largest = float(slow.grad.abs().max())
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=0, atol=tolerance * largest)


def test_gradients_of_anchors_positives_and_rows_are_those_of_the_loss() -> None:
    assert torch.autograd.gradcheck(
        lambda anchors, positives, rows: info_nce_loss(anchors, positives, rows, weights("scaled"), temperature=0.5),
        leaves(),
    )


def test_loss_of_one_positive_and_one_negative_by_hand() -> None:
    # v . m = 1 and 0; tau = 1 / log 2 makes the exponentials 2 and 1; the negative counts 4 times: -log(2 / 6).
    loss = info_nce_loss(
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        Negatives(torch.tensor([[0.0, 2.0]]), 2, distinct=False, scale=torch.tensor([2.0])),
        temperature=1 / math.log(2),
    )
    assert math.isclose(float(loss), math.log(3), rel_tol=1e-6)


@pytest.mark.parametrize("length", [1.0, 30.0])
def test_float32_keeps_to_float64_however_large_the_scores(length: float) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        anchors, positives, rows = case(dtype)
        anchors = (length * anchors).requires_grad_()
        loss = info_nce_loss(anchors, positives, rows, weights("once"), temperature=0.02)
        (gradient,) = torch.autograd.grad(loss, anchors)
        results.append((loss.detach().double(), gradient.double()))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_a_near_candidate_that_does_not_count_hides_none_that_do() -> None:
    # The uncounted row's score is 200 above the others: relative to it, both of those would vanish.
    anchors = torch.tensor([[1.0, 0.0]])
    rows = torch.tensor([[100.0, 0.0], [-100.0, 1.0]])
    loss = info_nce_loss(
        anchors, rows[1:], rows, Negatives(torch.tensor([[0.0, 1.0]]), 1, distinct=True), temperature=1.0
    )
    assert math.isclose(float(loss), math.log(2), rel_tol=1e-6)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_candidates() -> None:
    anchors, positives, rows = case()
    with shapes_saved_for_backward() as saved:
        info_nce_loss(anchors.requires_grad_(), positives, rows, weights("once"), temperature=0.1)
    assert saved == [torch.Size([1, BATCH, DIM])]
