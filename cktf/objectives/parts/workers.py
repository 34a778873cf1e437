"""Collectives of data-parallel workers, so that their banks and constants stay equal.

A batch that one worker holds whole (``share`` 1, as in an evaluation) needs none: its tensors are returned as they are.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cktf.batch import Batch


def gather_with_gradient(shard: Tensor, batch: Batch) -> Tensor:
    """Return the rows of a whole batch, those of all workers in the batch's order.

    Each worker's rows get the sum of all workers' gradients. That is the gradient of the whole batch's mean, if each
    worker's loss is the mean over its shard times the shard's share of the batch.
    """
    if batch.share == 1:
        return shard
    after = round(len(shard) / batch.share) - batch.offset - len(shard)
    ends = [0, 0] * (shard.dim() - 1) + [batch.offset, after]
    return sum_with_gradient(functional.pad(shard, ends))  # so no worker needs to know the length of another's shard


@torch.no_grad()
def gather_batch(shard: Tensor, batch: Batch) -> Tensor:
    """Return the rows as `gather_with_gradient` does, without a gradient."""
    return gather_with_gradient(shard, batch)


@torch.no_grad()
def gather_samples(embeddings: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return index (batch,) and embeddings (sides, batch, dim), float32, of a whole batch, in one exchange."""
    if batch.share == 1:
        return batch.index, embeddings
    # Exchanged as 32-bit integers, each of which is 0 on all workers but one, so that the sum is exact.
    by_sample = embeddings.transpose(0, 1)
    bits = [batch.index.view(torch.int32).view(-1, 2), by_sample.flatten(1).view(torch.int32)]
    whole = gather_batch(torch.cat(bits, dim=1), batch)
    index = whole[:, :2].contiguous().view(torch.int64).flatten()
    values = whole[:, 2:].contiguous().view(torch.float32).view(len(whole), *by_sample.shape[1:])
    return index, values.transpose(0, 1)


@torch.no_grad()
def sum_over_workers(values: Tensor, batch: Batch) -> Tensor:
    """Return the sum of the values of all workers, which have one shape; ``values`` are overwritten by it."""
    if batch.share < 1:
        dist.all_reduce(values)
    return values


def sum_with_gradient(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all workers; its gradient is likewise summed over them."""
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(_, gradient)
