"""The contrast of one side in one Triton kernel, for CUDA: scores, exponentials, logarithms and gradient.

A program of the kernel takes some of the anchors and one stretch of the rows, and goes through its rows block by block.
Nothing of the size of the scores is written to memory; sums over stretches are taken afterwards, in a fixed order, so
that equal steps give equal bits. Products are in float32 (no TF32). The formulas are those of `nce` and `info_nce`.
"""

from collections.abc import Sequence

import torch
import triton
from torch import Tensor
from torch.nn import functional
from triton import language as tl

ANCHORS = 16
"""Anchors of one block."""

ELEMENTS = 2**13
"""Numbers in the rows of one block: 32 KiB, which fit twice into the shared memory of every GPU since sm_80."""

LARGEST_DIM = 256
"""Largest dimension of embeddings for which the kernel is used; blocks of wider ones would have too few rows."""

LARGEST_ERROR = 1e-4
"""Tolerance of the kernel's test: largest difference from float64, as a share of the largest number."""

PROGRAMS = 1024
"""Target number of programs of a launch: several for each multiprocessor of the largest GPUs."""

LAUNCH = {"num_warps": 8, "num_stages": 1}
"""How the kernel is compiled: products in float32 hold their blocks in registers, which with fewer warps or more stages
would spill into slow memory."""


def nce_sums(in_bits: Tensor, rows: Sequence[Tensor], weights: Tensor, odds: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return sums over a side's rows of w log(1 + x) and of w x / (1 + x) m, x being odds 2^(v . m).

    The sums are (sides, batch) and (sides, batch, dim).

    Args:
        in_bits: (sides, batch, dim), float32: anchors v over the temperature and over log 2.
        rows: For each side (rows, dim), float32 or bfloat16: candidates m, equally many.
        weights: (batch, rows), of any type: w, how often each row is a negative of each anchor.
        odds: 1 / (Z (c + epsilon)) of each side.
    """
    losses, _, pushes = _launch(in_bits, rows, weights, odds, is_nce=True)
    return losses.sum(1), pushes.sum(1)


def info_nce_sums(in_bits: Tensor, rows: Sequence[Tensor], weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each anchor's largest score, its sum of w 2^(v . m - largest), and the same sum with each addend times m.

    The scores are (sides, batch, 1), -inf for an anchor without negatives, the sums (sides, batch, 1) and (sides,
    batch, dim). Rows of weight 0 do not count; the arguments are those of `nce_sums`.
    """
    totals, peaks, centres = _launch(in_bits, rows, weights, [1.0] * len(rows), is_nce=False)
    peak = peaks.amax(1, keepdim=True)
    shrink = torch.exp2(peaks - peak.nan_to_num(neginf=0.0))
    return peak.mT, (totals * shrink).sum(1).unsqueeze(2), (centres * shrink.unsqueeze(3)).sum(1)


def fault(device: torch.device) -> str:
    """Return why the kernel cannot be trusted on a device; empty if it agrees with float64 on random numbers."""
    generator = torch.Generator(device).manual_seed(0)
    anchors, rows = (functional.normalize(torch.randn(n, 100, generator=generator, device=device)) for n in (20, 300))
    weights = (torch.rand(20, 300, generator=generator, device=device) < 0.4).to(torch.uint8)
    in_bits, odds, furthest = anchors * 20, 0.01, 0.0
    for bank in (rows, rows.bfloat16()):  # each precision is compiled by itself
        scores, w, m = (in_bits.double() @ bank.double().T), weights.double(), bank.double()
        x = odds * scores.exp2()
        peak = scores.masked_fill(w == 0, -torch.inf).amax(1, keepdim=True)
        shares = w * (scores - peak).exp2()
        expected = [(w * x.log1p()).sum(1), w * (x / (1 + x)) @ m, peak, shares.sum(1, keepdim=True), shares @ m]
        given = in_bits.unsqueeze(0), [bank], weights
        try:
            found = [side for (side,) in (*nce_sums(*given, [odds]), *info_nce_sums(*given))]
        except Exception as error:  # a compiler fails in many ways, and matrix products can replace it
            return f"{type(error).__name__}: {error}"
        for a, b in zip(found, expected, strict=True):
            error_of_sum = (a.double() - b).abs().max() / b.abs().max()
            furthest = max(furthest, float(error_of_sum.nan_to_num(torch.inf)))
    return "" if furthest < LARGEST_ERROR else f"it differs from float64 by {furthest:.1g} of the largest number"


def _launch(
    in_bits: Tensor, rows: Sequence[Tensor], weights: Tensor, odds: Sequence[float], *, is_nce: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each stretch's sums and largest scores, (sides, stretches, batch), and vectors (..., batch, dim)."""
    (sides, batch, dim), num_rows = in_bits.shape, len(rows[0])
    width = max(16, triton.next_power_of_2(dim))
    groups = triton.cdiv(batch, ANCHORS)
    block_rows = min(64, ELEMENTS // width)
    blocks = triton.cdiv(num_rows, block_rows)
    per_stretch = triton.cdiv(blocks, max(1, PROGRAMS // groups))
    stretches = triton.cdiv(blocks, per_stretch)
    sums, peaks = in_bits.new_empty(2, sides, stretches, batch)
    vectors = in_bits.new_empty(sides, stretches, batch, dim)
    in_bits = in_bits.contiguous()
    with torch.cuda.device_of(in_bits):  # type: ignore[no-untyped-call]  # Triton takes the present device
        for side, own in enumerate(rows):
            _contrast[(stretches, groups)](
                *(in_bits[side], own.contiguous(), weights, sums[side], peaks[side], vectors[side]),
                *(odds[side], batch, num_rows, weights.stride(0), weights.stride(1), dim),
                per_stretch=per_stretch,
                width=width,
                num_anchors=ANCHORS,
                block_rows=block_rows,
                is_nce=is_nce,
                **LAUNCH,
            )
    return sums, peaks, vectors


@triton.jit  # type: ignore[untyped-decorator]
def _contrast(
    anchors: tl.tensor,
    rows: tl.tensor,
    weights: tl.tensor,
    sums: tl.tensor,
    peaks: tl.tensor,
    vectors: tl.tensor,
    odds: tl.tensor,
    batch: tl.tensor,
    num_rows: tl.tensor,
    anchor_stride: tl.tensor,
    row_stride: tl.tensor,
    dim: tl.tensor,
    per_stretch: tl.constexpr,
    width: tl.constexpr,
    num_anchors: tl.constexpr,
    block_rows: tl.constexpr,
    is_nce: tl.constexpr,
) -> None:
    stretch = tl.program_id(0)
    i = tl.program_id(1) * num_anchors + tl.arange(0, num_anchors)
    d = tl.arange(0, width)
    in_batch, in_dim = i < batch, d < dim
    of_anchors = i[:, None] * dim + d[None, :]
    v = tl.load(anchors + of_anchors, mask=in_batch[:, None] & in_dim[None, :], other=0.0)
    total = tl.zeros((num_anchors,), tl.float32)
    vector = tl.zeros((num_anchors, width), tl.float32)
    peak = tl.full((num_anchors,), float("-inf"), tl.float32)
    for block in range(per_stretch):
        j = (stretch * per_stretch + block) * block_rows + tl.arange(0, block_rows)
        in_rows = j < num_rows
        of_rows = j[:, None].to(tl.int64) * dim + d[None, :]
        m = tl.load(rows + of_rows, mask=in_rows[:, None] & in_dim[None, :], other=0.0).to(tl.float32)
        of_weights = i[:, None].to(tl.int64) * anchor_stride + j[None, :].to(tl.int64) * row_stride
        w = tl.load(weights + of_weights, mask=in_batch[:, None] & in_rows[None, :], other=0).to(tl.float32)
        scores = tl.dot(v, tl.trans(m), input_precision="ieee")
        if is_nce:
            x = odds * tl.exp2(scores)
            total += tl.sum(w * tl.log(1 + x), 1)
            share = w * (x / (1 + x))
        else:
            counted = tl.where(w > 0, scores, float("-inf"))
            higher = tl.maximum(peak, tl.max(counted, 1))
            # An anchor that has had no negative yet has no largest score to count from.
            origin = tl.where(higher == float("-inf"), 0.0, higher)
            shrink = tl.exp2(peak - origin)
            share = w * tl.exp2(counted - origin[:, None])
            total = total * shrink + tl.sum(share, 1)
            vector = vector * shrink[:, None]
            peak = higher
        vector = tl.dot(share, m, acc=vector, input_precision="ieee")
    place = stretch * batch + i
    tl.store(sums + place, total, mask=in_batch)
    tl.store(peaks + place, peak, mask=in_batch)
    of_vectors = stretch.to(tl.int64) * batch * dim + of_anchors
    tl.store(vectors + of_vectors, vector, mask=in_batch[:, None] & in_dim[None, :])
