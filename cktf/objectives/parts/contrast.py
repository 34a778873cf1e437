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

from cktf.objectives.parts.memory_bank import LARGEST_NORM
from cktf.objectives.parts.negatives import Negatives
from cktf.objectives.parts.products import times_transposed

EPSILON = 1e-7
"""Added to c in the denominators, as published."""

TILE_ELEMENTS = 2**19
"""Scores of one tile: 2 MiB a temporary. Smaller tiles cost more launches, and more waits among threads."""

LARGEST_LOG = 80.0
"""Of a product of denominators: float32 ends at exp(88.7)."""


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
    for rows in _tiles(scaled, bank):
        scores = times_transposed(scaled, bank[rows])
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
        largest_log = math.log1p(odds * math.exp(LARGEST_NORM / temperature))

        positives = bank[index]
        x = (scaled * positives).sum(1) + math.log(odds)
        loss = softplus(-x).sum()
        gradient = positives * (torch.sigmoid(x) - 1).unsqueeze(1)

        for rows in _tiles(scaled, bank):
            weights = negatives.weights[:, rows]
            scores = times_transposed(scaled, bank[rows]).exp_()
            if negatives.distinct:
                # Where the weight is 0, so are then loss and gradient: one pass for both.
                scores.mul_(weights)
            denominators = torch.add(one, scores, alpha=odds)
            scores.div_(denominators)
            if negatives.distinct:
                loss += _sum_of_logs(denominators, largest_log)
            else:
                scores.mul_(weights)
                loss += denominators.log_().mul_(weights).sum()
            gradient.add_(times_transposed(scores, bank[rows].T), alpha=odds)

        ctx.save_for_backward(gradient.div_(batch * temperature))
        return loss / batch + negatives.count * math.log1p(EPSILON / noise)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_of_loss: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient_of_loss * gradient, None, None, None, None, None


def _sum_of_logs(values: Tensor, largest_log: float) -> Tensor:
    """Return the sum of the logarithms of values that are 1 or more, a scalar; the values are overwritten.

    A logarithm costs as much as ten products. So the values are multiplied with one another first, half of the
    columns by the other half, as long as no product can leave float32.

    Args:
        values: (batch, rows).
        largest_log: No value's logarithm is larger.
    """
    while (width := values.shape[1]) > 1 and 2 * largest_log < LARGEST_LOG:
        half = (width + 1) // 2  # of an odd number the middle column stays as it is
        values[:, : width - half] *= values[:, half:]
        values = values[:, :half]
        largest_log *= 2
    return values.log_().sum()


def _tiles(anchors: Tensor, bank: Tensor) -> Iterator[slice]:
    """Yield slices of the bank's rows, each small enough that its scores are one tile."""
    width = max(1, TILE_ELEMENTS // len(anchors))
    for start in range(0, len(bank), width):
        yield slice(start, min(start + width, len(bank)))
