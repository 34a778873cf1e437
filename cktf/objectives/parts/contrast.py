"""The contrast of a batch of anchors with a whole memory bank, by noise-contrastive estimation (NCE).

Notation of "Contrastive Representation Distillation" (Tian et al., 2020, arXiv 1910.10699, eq. 18) and of
CKTF (Zhao et al., 2023, arXiv 2303.07599): anchor v, bank row m, temperature tau, K negatives, n samples,
c = K / n, and

    p = exp(v . m / tau) / Z
    loss = -mean over anchors of [log(p_positive / (p_positive + c)) + sum over negatives of log(c / (p + c))]

with 1e-7 added to c in the denominators. Dividing both fractions by their numerators turns this into logistic
regression on x = log(p / c):

    loss = mean over anchors of [softplus(-x_positive) + sum over negatives of softplus(x)]

The scores of all rows are one matrix product; which of them count, and how often, says a weight for each
anchor and row. The gradient with respect to the anchors, sigmoid(x) times the rows, is a second product,
taken in the forward pass, tile by tile. So nothing of the size of the scores is kept, and neither time nor
memory grows with K.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from cktf.objectives.parts.negatives import Negatives

EPSILON = 1e-7
"""Added to c in the denominators, as published."""

TILE_ELEMENTS = 2**20
"""Scores of one tile: 4 MiB a temporary. Smaller tiles cost more launches, and more waits among threads."""


def noise_contrastive_loss(
    anchors: Tensor,
    bank: Tensor,
    index: Tensor,
    negatives: Negatives,
    *,
    temperature: float,
    partition: float,
) -> Tensor:
    """Return the NCE loss of one side of one pair, a scalar; its gradient goes to the anchors alone.

    Args:
        anchors: (batch, dim), float32, L2-normalised.
        bank: (num_samples, dim), float32: the other side's embeddings, constants here.
        index: (batch,), int64: each anchor's own row of the bank, the positive.
        negatives: Which rows of the bank are each anchor's negatives.
        temperature: tau.
        partition: Z, see `estimate_partition`.
    """
    loss: Tensor = _NoiseContrastiveLoss.apply(anchors, bank, index, negatives, temperature, partition)
    return loss


@torch.no_grad()
def estimate_partition(
    anchors: Tensor, bank: Tensor, index: Tensor, negatives: Negatives, *, temperature: float
) -> Tensor:
    """Return Z as published, a scalar.

    It is the mean of exp(v . m / tau) over the positives and negatives of a batch, times the bank's rows.
    """
    scaled = anchors / temperature
    total = (scaled * bank[index]).sum(1).exp_().sum()
    for rows, scores, _ in _tiles(scaled, bank):
        torch.mm(scaled, bank[rows].T, out=scores)
        total += scores.exp_().mul_(negatives.weights[:, rows]).sum()
    return total * (len(bank) / (len(anchors) * (negatives.count + 1)))


class _NoiseContrastiveLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        bank: Tensor,
        index: Tensor,
        negatives: Negatives,
        temperature: float,
        partition: float,
    ) -> Tensor:
        batch = len(anchors)
        noise = negatives.count / len(bank)
        # p / c = odds * exp(score). Scaling after the exponential keeps its argument within 1 / tau, where it
        # can neither overflow nor underflow (MKL's is fifty times slower where it does).
        odds = 1 / (partition * (noise + EPSILON))
        scaled = anchors / temperature
        one = anchors.new_ones(())

        positives = bank[index]
        x = (scaled * positives).sum(1) + math.log(odds)
        loss = softplus(-x).sum()
        gradient = positives * (torch.sigmoid(x) - 1).unsqueeze(1)

        for rows, scores, denominators in _tiles(scaled, bank):
            weights = negatives.weights[:, rows]
            torch.mm(scaled, bank[rows].T, out=scores).exp_()
            if negatives.distinct:
                # Where the weight is 0, so are then loss and gradient: one pass for both.
                scores.mul_(weights)
            torch.add(one, scores, alpha=odds, out=denominators)
            scores.div_(denominators)
            denominators.log_()
            if not negatives.distinct:
                scores.mul_(weights)
                denominators.mul_(weights)
            gradient.addmm_(scores, bank[rows], alpha=odds)
            loss += denominators.sum()

        ctx.save_for_backward(gradient.div_(batch * temperature))
        return loss / batch + negatives.count * math.log1p(EPSILON / noise)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_of_loss: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient_of_loss * gradient, None, None, None, None, None


def _tiles(anchors: Tensor, bank: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield slices of the bank's rows, each with two scratch tensors of shape (batch, rows)."""
    batch, num_samples = len(anchors), len(bank)
    width = min(num_samples, max(1, TILE_ELEMENTS // batch))
    first, second = anchors.new_empty(2, batch, width).unbind()
    for start in range(0, num_samples, width):
        rows = slice(start, min(start + width, num_samples))
        size = rows.stop - start
        yield rows, first[:, :size], second[:, :size]
