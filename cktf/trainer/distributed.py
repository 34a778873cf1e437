"""One trial on several workers: the rank of this process, and sums over all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Workers:
    """The workers of one trial, and which of them, from 0, this one is; only worker 0 writes files."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "Workers":
        """Return the process group that Ray Train (or torchrun) has set up, else one worker."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(rank=distributed.get_rank(), size=distributed.get_world_size())
        return cls()

    def of_first(self, number: int, device: torch.device) -> int:
        """Return the number that the first worker has; ``device`` is the one that trains."""
        if self.size == 1:
            return number
        found = torch.tensor(number, device=device)
        distributed.broadcast(found, 0)
        return int(found)

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum of ``values`` over all workers."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of all workers in one exchange.

        Each worker's loss is weighed by its share of the batch, so the sum is the gradient of the whole batch's mean.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, piece in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(piece.view_as(gradient))

    def average_buffers(self, network: nn.Module) -> None:
        """Average the running statistics of batch-norm over the workers; modules in eval mode stay unchanged."""
        if self.size == 1:
            return
        for module in network.modules():
            for buffer in module.buffers(recurse=False):
                if module.training and buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer /= self.size
