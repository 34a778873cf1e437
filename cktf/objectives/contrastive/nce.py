"""The contrast of a batch of anchors with many candidates, by noise-contrastive estimation (NCE).

Notation of "Contrastive Representation Distillation" (Tian et al., 2020, arXiv 1910.10699, eq. 18) and of
CKTF (Zhao et al., 2023, arXiv 2303.07599): anchor v, candidate m, temperature tau, K negatives, n samples,
c = K / n, and

    p = exp(v . m / tau) / Z
    loss = -mean over anchors of [log(p_positive / (p_positive + c)) + sum over negatives of log(c / (p + c))]

with 1e-7 added to c in the denominators. Dividing both fractions by their numerators turns this into logistic
regression on x = log(p / c):

    loss = mean over anchors of [softplus(-x_positive) + sum over negatives of softplus(x)]

Unless a fused kernel is used (see `fused`), the scores of all candidates, the rows of a memory bank, are one matrix
product; a weight for each anchor and row says how often the row is a negative of the anchor. The gradient with respect
to the anchors, sigmoid(x) times the rows, is a second product, taken in the forward pass, tile by tile. So no tensor of
the size of all scores is stored, and if the rows are the whole bank, neither time nor memory grows with K. Rows that
require a gradient, such as the embeddings of the batch itself, get it by a third product.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from cktf.objectives.contrastive.banks import LARGEST_NORM
from cktf.objectives.contrastive.negatives import Negatives

EPSILON = 1e-7
"""Added to c in the denominators, as published."""

TILE_ELEMENTS = 2**19
"""Scores of one tile on a CPU: 2 MiB a temporary."""

SHARE_OF_CACHE = 12
"""Bytes of a GPU's cache for each score of a tile: three temporaries in float32."""

LARGEST_LOG = 80.0
"""Largest logarithm of a product of denominators: float32 ends at exp(88.7)."""


def noise_contrastive_loss(
    anchors: Tensor,
    positives: Tensor,
    rows: Sequence[Tensor],
    negatives: Negatives,
    *,
    temperature: float,
    partitions: Sequence[float],
    num_samples: int,
) -> Tensor:
    """Return the NCE loss of each side of some pairs, (sides,).

    Gradients go to the anchors, and to positives and rows where these require any.

    Args:
        anchors: (sides, batch, dim), float32, L2-normalised.
        positives: (sides, batch, dim), float32: for each anchor, an embedding of the other side.
        rows: For each side (candidates, dim), float32 or bfloat16: embeddings of the other side, equally many.
        negatives: Which rows are each anchor's negatives.
        temperature: tau.
        partitions: Z of each side, see `estimate_partition`.
        num_samples: n.
    """
    settings = negatives, temperature, partitions, num_samples
    losses: Tensor = _NoiseContrastiveLoss.apply(anchors, positives, *settings, *rows)
    return losses


@torch.no_grad()
def estimate_partition(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, *, temperature: float, num_samples: int
) -> Tensor:
    """Return Z as published: the mean of exp(v . m / tau) over a batch's positives and negatives, times n."""
    scaled = anchors / temperature
    in_bits = scaled / math.log(2)
    total = (scaled * positives).sum(1).exp_().sum()
    for columns, tile in tiles(in_bits, rows):
        scores = times_transposed(in_bits, tile).exp2_().mul_(negatives.weights[:, columns])
        total += _sum(scores, negatives.scale)
    return total * (num_samples / (len(anchors) * (negatives.per_anchor + 1)))


class GradientTakenForward(torch.autograd.Function):
    """Base of losses (sides,) whose ``forward`` saves the gradients of its first two arguments and of all rows."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the saved gradients times the losses' gradient; the other arguments are constants."""
        of_samples, of_rows = ctx.saved_tensors[:2], ctx.saved_tensors[2:] or [None] * len(gradient)
        factors = gradient.view(-1, 1, 1)
        return (
            *(own if own is None else factors * own for own in of_samples),
            *[None] * (len(ctx.needs_input_grad) - 2 - len(gradient)),
            *(own if own is None else factor * own for factor, own in zip(gradient, of_rows, strict=True)),
        )


class _NoiseContrastiveLoss(GradientTakenForward):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        positives: Tensor,
        negatives: Negatives,
        temperature: float,
        partitions: Sequence[float],
        num_samples: int,
        *rows: Tensor,
    ) -> Tensor:
        batch, scale = anchors.shape[1], negatives.scale
        noise = negatives.count / num_samples
        # p / c = odds * exp(score). Scaling after the exponential keeps its argument within 1 / tau, where it
        # can neither overflow nor underflow. A power of two takes a third of the time of MKL's exp.
        odds = [1 / (partition * (noise + EPSILON)) for partition in partitions]
        scaled = anchors / temperature
        in_bits = scaled / math.log(2)

        x = apart((scaled * positives).sum(2))
        torch._foreach_add_(x.unbind(), [math.log(of_side) for of_side in odds])
        pull = (torch.sigmoid(x) - 1).unsqueeze(2)
        losses = softplus(x.neg_()).sum(1)
        gradient = positives * pull
        of_rows = [torch.zeros_like(own) for own in rows] if any(ctx.needs_input_grad[-len(rows) :]) else []
        push = gradient if scale is None else torch.zeros_like(gradient)
        fused = None if of_rows else kernel_for(anchors.device, anchors.shape[2])
        if fused:
            logarithms, shares = fused.nce_sums(in_bits, rows, negatives.packed, odds)
            losses += logarithms.sum(1) if scale is None else logarithms @ scale
            push.add_(shares)
        one = anchors.new_ones(())
        for side, own in () if fused else enumerate(rows):
            largest_log = math.log1p(odds[side] * math.exp(LARGEST_NORM / temperature))
            for columns, tile in tiles(in_bits[side], own):
                weights = negatives.weights[:, columns]
                scores = times_transposed(in_bits[side], tile).exp2_()
                if negatives.distinct:
                    # A weight of 0 then makes both loss and gradient 0, so one pass serves for both.
                    scores.mul_(weights)
                    denominators = torch.add(one, scores, alpha=odds[side])
                    scores.div_(denominators)
                    logarithms = _logs_of_products(denominators, largest_log)
                else:
                    denominators = torch.add(one, scores, alpha=odds[side])
                    scores.div_(denominators).mul_(weights)
                    logarithms = denominators.log_().mul_(weights)
                losses[side].add_(_sum(logarithms, scale))
                push[side].add_(times_transposed(scores, tile.T), alpha=odds[side])
                if of_rows:
                    factor = scaled[side] if scale is None else scaled[side] * scale.unsqueeze(1)
                    of_rows[side][columns] = (scores.T @ factor).mul_(odds[side] / batch)
        if scale is not None:
            gradient.addcmul_(push, scale.unsqueeze(1))

        of_positives = scaled * pull / batch if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(gradient.div_(batch * temperature), of_positives, *of_rows)
        return losses / batch + negatives.per_anchor * math.log1p(EPSILON / noise)


def apart(values: Tensor) -> Tensor:
    """Return a copy of values (sides, batch) whose sides are not adjacent in memory.

    A CPU computes the last few numbers of a stretch of memory by other instructions than the rest, which changes their
    last bits. With the sides apart, each gets the same numbers as if it were computed alone.
    """
    return values.new_empty(len(values), values.shape[1] + 1)[:, :-1].copy_(values)


def _sum(values: Tensor, scale: Tensor | None) -> Tensor:
    """Return the sum of values (batch, candidates), each anchor's times its scale (batch,); a scalar."""
    return values.sum() if scale is None else values.sum(1) @ scale.to(values.dtype)


def _logs_of_products(values: Tensor, largest_log: float) -> Tensor:
    """Return logarithms of products of values, (batch, products), whose sum per anchor is that of the values' own.

    A logarithm costs as much as ten products. So half of the columns are multiplied by the other half first, as long as
    no product can leave float32. The values are 1 or more, with logarithms up to ``largest_log``; they are overwritten.
    """
    while (width := values.shape[1]) > 1 and 2 * largest_log < LARGEST_LOG:
        half = (width + 1) // 2  # if the width is odd, the middle column stays as it is
        values[:, : width - half].mul_(values[:, half:])  # `*=` would copy the slice into itself
        values = values[:, :half]
        largest_log *= 2
    return values.log_()


def tiles(anchors: Tensor, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices into ``rows``, each with its rows: so few that their scores are one tile.

    Rows in bfloat16 stay so if the device multiplies in it; else they are converted to the anchors' precision.
    """
    is_native = rows.dtype == torch.bfloat16 and multiplies_bfloat16(rows.device.type)
    precision = rows.dtype if is_native else anchors.dtype
    width = max(1, tile_elements(rows.device) // len(anchors))
    for start in range(0, len(rows), width):
        columns = slice(start, min(start + width, len(rows)))
        yield columns, rows[columns].to(precision)


def times_transposed(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right.T``, (rows of left, rows of right), outside of autograd.

    If ``right`` is bfloat16, both factors and the result are rounded to it: errors are at most about 2^-8 of a number
    plus 2^-8 of the product of its two rows' lengths. In float32 on an AMD processor, for which MKL has no AVX-512
    kernels, oneDNN's product is 2.4 times as fast.
    """
    if right.dtype == torch.bfloat16:
        return (left.bfloat16() @ right.T).to(left.dtype)
    if left.device.type == "cpu" and left.dtype == torch.float32 and _has_slow_mkl():
        product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
        return product
    return left @ right.T


@cache
def tile_elements(device: torch.device) -> int:
    """Return how many scores one tile has on a device."""
    cache_size = torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 0
    return max(TILE_ELEMENTS, cache_size // SHARE_OF_CACHE)


def kernel_for(device: torch.device, dim: int) -> ModuleType | None:
    """Return the module of the fused kernel if it takes anchors of ``dim`` dimensions; None: use matrix products."""
    fused = _kernel(device)
    return fused if fused and dim <= fused.LARGEST_DIM else None


@cache
def _kernel(device: torch.device) -> ModuleType | None:
    """Return the module of the fused kernel; None on a CPU, without Triton, or where it fails its test."""
    if device.type != "cuda" or not find_spec("triton"):
        return None
    fused = import_module("cktf.objectives.contrastive.fused")
    fault = fused.fault(device)
    if fault:
        logging.getLogger(__name__).warning("the fused kernel is not used on %s: %s", device, fault)
    return None if fault else fused


@cache
def _has_slow_mkl() -> bool:
    processor = Path("/proc/cpuinfo")
    is_intel = processor.is_file() and "GenuineIntel" in processor.read_text()
    return torch.backends.mkldnn.is_available() and not is_intel  # type: ignore[no-untyped-call]


@cache
def multiplies_bfloat16(device: str) -> bool:
    """Return whether a type of device, ``cpu`` or ``cuda``, has instructions for products in bfloat16."""
    of_cuda = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return of_cuda or (device == "cpu" and torch.cpu._is_avx512_bf16_supported())
