"""What the workers of a data-parallel trial share, so that their banks and constants stay equal."""

import torch
import torch.distributed as dist
from torch import Tensor


def gather_batch(tensor: Tensor) -> Tensor:
    """Return all workers' tensors, concatenated along the first dimension; without workers the tensor."""
    if not _has_workers():
        return tensor
    gathered = tensor.new_empty(dist.get_world_size() * len(tensor), *tensor.shape[1:])
    dist.all_gather_into_tensor(gathered, tensor.contiguous())
    return gathered


def average(tensor: Tensor) -> Tensor:
    """Return the mean of all workers' tensors; without workers the tensor."""
    if not _has_workers():
        return tensor
    total = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total / dist.get_world_size()


def _has_workers() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
