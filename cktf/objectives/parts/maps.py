"""Operations on feature maps: windows, normalisation, padding, pooling, attention."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cktf.batch import Batch, Shapes
from cktf.objectives.parts.workers import sum_over_workers

Window = int | None
"""Side of the square windows a map is averaged over; None: the whole map at once."""


def pooling_window(shapes: Shapes) -> Window:
    """Return the pooling window of a network (Zhao et al., 2023, arXiv 2303.07599).

    A quarter of the image's side, rounded up, if the last stage has this side (the CIFAR ResNets and WRNs: 8 at
    32x32), so that a map of an earlier stage keeps some of its geometry; else None (VGG, ImageNet-style ResNets). The
    side is the shorter one.
    """
    quarter = math.ceil(min(shapes.image[1:]) / 4)
    return quarter if shapes.has("stages") and min(shapes.stages[-1][-1][1:]) == quarter else None


def normalise_over_batch(maps: Tensor, batch: Batch) -> Tensor:
    """Return maps (batch, channels, height, width), each position L2-normalised over the batch of all workers.

    Equals `torch.nn.functional.normalize` with ``dim=0``, its smallest norm of 1e-12 included, in a third of the time.
    """
    normalised: Tensor = _NormaliseOverBatch.apply(maps, batch)
    return normalised


class _NormaliseOverBatch(torch.autograd.Function):
    """y = x / |x|, whose gradient is (g - y sum(g y)) / |x|."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, batch: Batch) -> Tensor:
        ctx.batch = batch
        # In the map's own order of memory, or every sum would jump through memory.
        ctx.order = (0, 1, 2, 3) if maps.is_contiguous() else (0, 2, 3, 1)
        values = maps.permute(ctx.order)
        scale = sum_over_workers(values.square().sum(0), batch).clamp_min_(1e-24).rsqrt_()
        normalised = values * scale
        ctx.save_for_backward(normalised, scale)
        ctx.inverse = tuple(map(ctx.order.index, range(4)))
        return normalised.permute(ctx.inverse)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        normalised, scale = ctx.saved_tensors
        gradient = gradient.permute(ctx.order)
        along = sum_over_workers(torch.mul(gradient, normalised).sum(0), ctx.batch)
        across = torch.addcmul(gradient, normalised, along, value=-1).mul_(scale)
        return across.permute(ctx.inverse), None


def pad_channels(maps: Tensor, num_channels: int) -> Tensor:
    """Return the maps padded to ``num_channels`` by channels of zeros on both sides; wider maps are not changed."""
    missing = num_channels - maps.shape[1]
    return maps if missing <= 0 else functional.pad(maps, (0, 0, 0, 0, missing // 2, missing - missing // 2))


def pool(maps: Tensor, window: Window) -> Tensor:
    """Return the maps averaged over windows: (batch, channels, rows of windows, columns of windows).

    Rows and columns at the end that fill no window are left out.
    """
    return maps.mean((2, 3), keepdim=True) if window is None else functional.avg_pool2d(maps, window)


def shrink_to_smaller(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps at the smaller height and width of the two, the larger one averaged."""
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    student, teacher = (
        m if m.shape[2:] == size else functional.adaptive_avg_pool2d(m, size) for m in (student, teacher)
    )
    return student, teacher


def attention(maps: Tensor, power: int) -> Tensor:
    """Return the L2-normalised attention of maps, (batch, positions): the mean over channels of ``maps ** power``.

    Negative activations count negative in an odd power, as published.
    """
    return functional.normalize(maps.pow(power).mean(1).flatten(1), dim=1)
