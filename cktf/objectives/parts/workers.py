"""What data-parallel workers tell one another, so that their banks and constants stay equal."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional


def gather_batch(shard: Tensor) -> Tensor:
    """Return the shards of all workers, concatenated along the first dimension; of one worker its own.

    Shards may differ in length, as those of a batch do that the workers do not divide.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return shard
    sizes = shard.new_empty(dist.get_world_size(), dtype=torch.int64)
    dist.all_gather_into_tensor(sizes, sizes.new_tensor([len(shard)]))
    longest = int(sizes.max())
    padded = functional.pad(shard, (0, 0) * (shard.dim() - 1) + (0, longest - len(shard)))
    gathered = shard.new_empty(len(sizes), *padded.shape)
    dist.all_gather_into_tensor(gathered.flatten(0, 1), padded)
    return torch.cat([rows[:size] for rows, size in zip(gathered, sizes.tolist(), strict=True)])
