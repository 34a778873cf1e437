"""What data-parallel workers tell one another, so that their banks and constants stay equal."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from cktf.batch import Batch

_IS_WHOLE = ContextVar("_IS_WHOLE", default=False)
"""Whether what this worker holds is no shard of a batch, but all of it."""


@contextmanager
def whole_batches() -> Iterator[None]:
    """Within it every worker holds all of each batch, as in an evaluation: nothing is gathered or added up."""
    token = _IS_WHOLE.set(True)
    try:
        yield
    finally:
        _IS_WHOLE.reset(token)


@torch.no_grad()
def gather_batch(shard: Tensor, batch: Batch) -> Tensor:
    """Return what all workers hold of a batch's rows, in the batch's order; of one worker its own.

    Each worker's rows are added to zeros, where ``batch`` says that they belong: so shards may differ in length
    without having to tell one another.

    Args:
        shard: (samples of this worker, ...).
        batch: This worker's.
    """
    if _is_alone():
        return shard
    whole = shard.new_zeros(round(len(shard) / batch.share), *shard.shape[1:])
    whole[batch.offset : batch.offset + len(shard)] = shard
    dist.all_reduce(whole)
    return whole


@torch.no_grad()
def sum_over_workers(values: Tensor) -> Tensor:
    """Add up, in place, what all workers hold; all of one shape."""
    if not _is_alone():
        dist.all_reduce(values)
    return values


def gather_with_gradient(shard: Tensor, batch: Batch) -> Tensor:
    """Return what `gather_batch` does; each worker's rows get the sum of all workers' gradients.

    The sum is the gradient of the whole batch's mean, if each worker's loss is the mean over its shard times the
    shard's share of the batch.
    """
    if _is_alone():
        return shard
    whole: Tensor = _Gather.apply(shard, batch)
    return whole


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shard: Tensor, batch: Batch) -> Tensor:
        ctx.own = slice(batch.offset, batch.offset + len(shard))
        return gather_batch(shard, batch)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        dist.all_reduce(total)
        return total[ctx.own], None


def _is_alone() -> bool:
    return _IS_WHOLE.get() or not (
        dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    )
