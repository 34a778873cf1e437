"""InfoNCE whose negatives weigh by their hardness, and with several positives.

Anchor v, positives P (its own m+ and candidates of its class), negatives m of weight w, temperature tau:

    e(m) = exp(v . m / tau)
    N = sum of w e(m)^(1 + beta) * sum of w / sum of w e(m)^beta        (over the negatives)
    loss = -mean over anchors of mean over p in P of log(e(p) / (N + sum over P of e))

beta is the concentration of Robinson et al. (ICLR 2021, arXiv 2010.04592, section 4, with tau+ = 0): each negative is
weighed by e^beta over the mean of e^beta. The gradient goes through the weights, as in their code. The mean over P
outside of the logarithm is L_out of Khosla et al. (NeurIPS 2020, arXiv 2004.11362, eq. 2). With beta 0 and one positive
it is `info_nce`.

As there, the scores are matrix products tile by tile, and the gradients are taken in the forward pass.
"""

import math
from typing import Any

import torch
from torch import Tensor

from cktf.objectives.contrastive.nce import GradientTakenForward, tiles, times_transposed
from cktf.objectives.contrastive.negatives import Negatives

FAR = 1e30
"""Logarithms below minus this are of sums that have no addend."""


def reweighted_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, *, temperature: float, hardness: float
) -> Tensor:
    """Return the loss of one side of one pair, a scalar, in nats.

    Args:
        anchors: (batch, dim), float32.
        positives: (batch, dim), float32: of each anchor, the other side's embedding of the same sample.
        rows: (candidates, dim), float32 or bfloat16: embeddings of the other side.
        negatives: Which rows are each anchor's negatives, and which its further positives.
        temperature: tau.
        hardness: beta.
    """
    loss: Tensor = _ReweightedLoss.apply(anchors, positives, rows, negatives, temperature, hardness)
    return loss


class _SumOfExponentials:
    """Of each anchor the sum of w exp(power score) over the candidates, relative to its largest addend.

    Attributes:
        power: Factor of the scores, which come in bits.
        peak: (batch, 1): the largest exponent so far.
        total: (batch, 1): the sum relative to it.
        centre: (batch, dim): the sum of the addends times their rows, likewise.
    """

    def __init__(self, power: float, like: Tensor) -> None:
        self.power = power
        self.peak = like.new_full((len(like), 1), -FAR)
        self.total = torch.zeros_like(self.peak)
        self.centre = torch.zeros_like(like)

    def add(self, scores: Tensor, weights: Tensor, tile: Tensor) -> None:
        exponents = torch.where(weights > 0, scores * self.power, -FAR)
        higher = torch.maximum(self.peak, exponents.amax(1, keepdim=True))
        shrink = torch.exp2(self.peak - higher)
        values = torch.exp2(exponents - higher) * weights
        self.total = self.total * shrink + values.sum(1, keepdim=True)
        self.centre = self.centre * shrink + times_transposed(values, tile.T)
        self.peak = higher

    @property
    def log(self) -> Tensor:
        """The logarithm of the sum in bits, (batch, 1); `-FAR` or less where there are no candidates."""
        return torch.where(self.total > 0, self.peak + self.total.log2(), -FAR)

    @property
    def mean(self) -> Tensor:
        """The mean of the rows, weighed by the addends: (batch, dim); 0 where there are none."""
        return self.centre / self.total.where(self.total > 0, 1)


class _ReweightedLoss(GradientTakenForward):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        positives: Tensor,
        rows: Tensor,
        negatives: Negatives,
        temperature: float,
        hardness: float,
    ) -> Tensor:
        batch, further = len(anchors), negatives.positives
        scaled = anchors / temperature
        in_bits = scaled / math.log(2)
        own = (in_bits * positives).sum(1, keepdim=True)
        hard, soft, alike = (_SumOfExponentials(power, anchors) for power in (1 + hardness, hardness, 1.0))
        count = torch.zeros_like(own)
        num_positives, of_all = torch.ones_like(own), positives
        for columns, tile in tiles(in_bits, rows):
            scores, weights = times_transposed(in_bits, tile), negatives.weights[:, columns]
            hard.add(scores, weights, tile)
            soft.add(scores, weights, tile)
            count = count + weights.sum(1, keepdim=True)
            if further is not None:
                alike.add(scores, further[:, columns], tile)
                num_positives = num_positives + further[:, columns].sum(1, keepdim=True)
                of_all = of_all + times_transposed(further[:, columns], tile.T)
        scale = 1.0 if negatives.scale is None else negatives.scale.unsqueeze(1)
        # Without negatives the first logarithm alone counts, and the others are as good as any.
        of_negatives = hard.log - soft.log.where(count > 0, 0) + (count * scale).where(count > 0, 1).log2()
        logs = torch.cat([own, alike.log, of_negatives], dim=1) * math.log(2)
        total = logs.logsumexp(1, keepdim=True)
        mean_positive = of_all / num_positives
        loss = total - (scaled * mean_positive).sum(1, keepdim=True)

        shares = (logs - total).exp()
        own_share, alike_share, negative_share = shares[:, :1], shares[:, 1:2], shares[:, 2:]
        drawn = negative_share * ((1 + hardness) * hard.mean - hardness * soft.mean)
        of_anchors = own_share * positives + alike_share * alike.mean + drawn - mean_positive
        of_positives = None
        if ctx.needs_input_grad[1]:
            of_positives = scaled * (own_share - 1 / num_positives) / batch
        of_rows = None
        if ctx.needs_input_grad[2]:
            of_rows = torch.empty_like(rows)
            for columns, tile in tiles(in_bits, rows):
                scores, weights = times_transposed(in_bits, tile), negatives.weights[:, columns]
                pull = _shares(hard, scores, weights) * (1 + hardness) - _shares(soft, scores, weights) * hardness
                pull = pull * negative_share
                if further is not None:
                    pull += _shares(alike, scores, further[:, columns]) * alike_share
                    pull -= further[:, columns] / num_positives
                of_rows[columns] = pull.T @ (scaled / batch)
        ctx.save_for_backward(of_anchors / (batch * temperature), of_positives, of_rows)
        return loss.mean()


def _shares(of: _SumOfExponentials, scores: Tensor, weights: Tensor) -> Tensor:
    """Return the share of each candidate in a sum, (batch, rows of the tile)."""
    exponents = torch.where(weights > 0, scores * of.power - of.log, -FAR)
    return torch.exp2(exponents) * weights
