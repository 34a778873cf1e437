"""InfoNCE with negatives weighted by their hardness, and with several positives.

Anchor v, positives P (its own m+ and candidates of its class), negatives m of weight w, temperature tau:

    e(m) = exp(v . m / tau)
    N = sum of w e(m)^(1 + beta) * sum of w / sum of w e(m)^beta        (over the negatives)
    loss = -mean over anchors of mean over p in P of log(e(p) / (N + sum over P of e))

beta is the concentration of Robinson et al. (ICLR 2021, arXiv 2010.04592, section 4, with tau+ = 0): each negative is
weighed by e^beta over the mean of e^beta. The gradient goes through the weights, as in their code. The mean over P
outside of the logarithm is L_out of Khosla et al. (NeurIPS 2020, arXiv 2004.11362, eq. 2). With beta 0 and one positive
it is `info_nce`; as there, the scores are computed tile by tile and never stored as a whole.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cktf.objectives.contrastive.info_nce import FAR, running_sums
from cktf.objectives.contrastive.nce import kernel_for, tiles, times_transposed
from cktf.objectives.contrastive.negatives import Negatives


def reweighted_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, *, temperature: float, hardness: float
) -> Tensor:
    """Return the loss of one side of one pair, a scalar, in nats; ``hardness`` is beta, the rest as in the NCE loss."""
    scaled = anchors / temperature
    counts = negatives.weights.sum(1)
    has_negatives = counts > 0
    of_negatives = log_sums(scaled * (1 + hardness), rows, negatives.weights)
    if hardness > 0:
        of_negatives = of_negatives - log_sums(scaled * hardness, rows, negatives.weights) + counts.log()
    if negatives.scale is not None:
        of_negatives = of_negatives + negatives.scale.log()
    logs = [(scaled * positives).sum(1), of_negatives.where(has_negatives, -FAR)]
    if negatives.positives is not None:
        logs.append(log_sums(scaled, rows, negatives.positives))
        number = 1 + negatives.positives.sum(1, keepdim=True)
        positives = (positives + negatives.positives @ rows.to(anchors.dtype)) / number
    return (torch.stack(logs).logsumexp(0) - (scaled * positives).sum(1)).mean()


def log_sums(anchors: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return the logarithm of each anchor's sum of w exp(v . m) over the rows: (batch,), float32.

    Gradients go to the anchors (batch, dim), and to the rows (candidates, dim) if they require any.
    """
    logs: Tensor = _LogSums.apply(anchors, rows, weights)
    return logs


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchors: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        in_bits = anchors / math.log(2)
        fused = kernel_for(anchors.device, anchors.shape[1])
        if fused:
            peak, total, centre = (side for (side,) in fused.info_nce_sums(in_bits.unsqueeze(0), [rows], weights))
        else:
            none = anchors.new_zeros(len(anchors), 1)
            peak, total, centre = running_sums(in_bits, rows, (none - FAR, none, torch.zeros_like(anchors)), weights)
        log = torch.where(total > 0, peak + total.log2(), -FAR)
        for_rows = (in_bits, rows, weights, log) if ctx.needs_input_grad[1] else ()
        ctx.save_for_backward(centre / total.where(total > 0, 1), *for_rows)
        return (log * math.log(2)).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        mean, *for_rows = ctx.saved_tensors
        of_rows = None
        if for_rows:
            in_bits, rows, weights, log = for_rows
            of_rows, factors = torch.empty_like(rows), in_bits * math.log(2) * gradient.unsqueeze(1)
            for columns, tile in tiles(in_bits, rows):
                of_tile = weights[:, columns]
                scores = times_transposed(in_bits, tile).where(of_tile > 0, -FAR)
                of_rows[columns] = (torch.exp2(scores - log) * of_tile).T @ factors
        return mean * gradient.unsqueeze(1), of_rows, None
