"""The contrast of a batch of anchors with many candidates by softmax: InfoNCE (van den Oord et al., arXiv 1807.03748).

Anchor v, positive m+, candidates m, temperature tau, and w how often a candidate is a negative of the anchor:

    e(m) = exp(v . m / tau)
    loss = -mean over anchors of log(e(m+) / (e(m+) + sum over candidates of w e(m)))

It needs neither Z nor n. As in `nce` the scores are one matrix product, and the gradients are taken in
the forward pass, tile by tile. The sum is stored relative to the largest exponent so far, so nothing overflows.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cktf.objectives.contrastive.nce import GradientTakenForward, apart, kernel_for, tiles, times_transposed
from cktf.objectives.contrastive.negatives import Negatives

SMALLEST_EXPONENT = -115.0
"""Lower bound of exponents in bits, relative to the largest: below -126 numbers are subnormal, and slow."""

FAR = 1e30
"""A number larger than the difference of any two scores: the logarithm of an empty sum is -FAR."""


def info_nce_loss(
    anchors: Tensor, positives: Tensor, rows: Sequence[Tensor], negatives: Negatives, *, temperature: float
) -> Tensor:
    """Return the InfoNCE loss of each side, (sides,), in nats; the arguments are those of the NCE loss."""
    losses: Tensor = _InfoNCELoss.apply(anchors, positives, negatives, temperature, *rows)
    return losses


class _InfoNCELoss(GradientTakenForward):
    @staticmethod
    def forward(
        ctx: Any, anchors: Tensor, positives: Tensor, negatives: Negatives, temperature: float, *rows: Tensor
    ) -> Tensor:
        batch = anchors.shape[1]
        scaled = anchors / temperature
        in_bits = scaled / math.log(2)  # base 2, as in `nce`: exp2 is faster than exp
        positive = (in_bits * positives).sum(2, keepdim=True)
        fused = kernel_for(anchors.device, anchors.shape[2])
        if fused:
            peak, sums, vectors = fused.info_nce_sums(in_bits, rows, negatives.packed)
            factor = torch.exp2(peak - (higher := torch.maximum(peak, positive)))
            factor = factor if negatives.scale is None else factor * negatives.scale.unsqueeze(1)
            shrink, peak = torch.exp2(positive - higher), higher
            total, centre = shrink + sums * factor, positives * shrink + vectors * factor
        else:
            starts = zip(positive, torch.ones_like(positive), positives, strict=True)
            sums = [
                running_sums(in_bits[side], rows[side], start, negatives.weights, negatives.scale)
                for side, start in enumerate(starts)
            ]
            peak, total, centre = (torch.stack(values) for values in zip(*sums, strict=True))
        loss = (peak - positive) * math.log(2) + apart(total.squeeze(2)).log().unsqueeze(2)

        pull = torch.expm1(apart(-loss.squeeze(2))).unsqueeze(2)  # the positive's probability less 1
        of_positives = scaled * pull / batch if ctx.needs_input_grad[1] else None
        of_rows = [torch.empty_like(own) for own in rows] if any(ctx.needs_input_grad[-len(rows) :]) else []
        for side, of_side in enumerate(of_rows):
            for columns, tile in tiles(in_bits[side], rows[side]):
                scores, weights = times_transposed(in_bits[side], tile), negatives.weights[:, columns]
                values = _exponentials(scores, peak[side], weights, negatives.scale)
                of_side[columns] = values.T @ (scaled[side] / (total[side] * batch))
        of_anchors = (centre / total - positives) / (batch * temperature)
        ctx.save_for_backward(of_anchors, of_positives, *of_rows)
        return loss.mean((1, 2))


def running_sums(
    in_bits: Tensor, rows: Tensor, start: tuple[Tensor, Tensor, Tensor], weights: Tensor, scale: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each anchor's largest score, its sum of exponentials, and its sum of candidates weighted by them.

    They are (batch, 1), (batch, 1) and (batch, dim), of one side's anchors, with exponentials relative to the largest
    score; ``start`` are those of what is counted besides the rows. ``weights`` (batch, rows) say how often each row
    counts: 0, 1, 2, ...
    """
    peak, total, centre = start
    for columns, tile in tiles(in_bits, rows):
        scores = times_transposed(in_bits, tile)
        # Candidates that do not count get far lower scores, in a sixth of the time of `torch.where`.
        lowered = (weights[:, columns] - 1).clamp_(max=0)
        counted = torch.add(scores, lowered, alpha=FAR)
        higher = torch.maximum(peak, counted.amax(1, keepdim=True))
        shrink = torch.exp2(peak - higher)
        values = _exponentials(scores, higher, weights[:, columns], scale)
        total = total * shrink + values.sum(1, keepdim=True)
        centre = centre * shrink + times_transposed(values, tile.T)
        peak = higher
    return peak, total, centre


def _exponentials(scores: Tensor, peak: Tensor, weights: Tensor, scale: Tensor | None) -> Tensor:
    """Return w 2^(score - peak), (batch, rows of the tile); the scores are overwritten."""
    values = scores.sub_(peak).clamp_(SMALLEST_EXPONENT, 0).exp2_().mul_(weights)
    return values if scale is None else values.mul_(scale.unsqueeze(1))
