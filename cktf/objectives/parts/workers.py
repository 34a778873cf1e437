"""What data-parallel workers tell one another, so that their banks and constants stay equal."""

import torch
import torch.distributed as dist
from torch import Tensor

from cktf.batch import Batch


@torch.no_grad()
def gather_batch(shard: Tensor, batch: Batch) -> Tensor:
    """Return what all workers hold of a batch's rows, in the batch's order; of one worker its own.

    Each worker's rows are added to zeros, where ``batch`` says that they belong: so shards may differ in length
    without having to tell one another.

    Args:
        shard: (samples of this worker, ...).
        batch: This worker's.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return shard
    whole = shard.new_zeros(round(len(shard) / batch.share), *shard.shape[1:])
    whole[batch.offset : batch.offset + len(shard)] = shard
    dist.all_reduce(whole)
    return whole
