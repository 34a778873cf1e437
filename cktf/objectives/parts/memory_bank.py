"""The memory bank: the latest embedding of every training sample."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_NORM = math.sqrt(3)
"""Of a row: that of a corner of the cube which initial rows are drawn in; later ones have norm 1."""


class MemoryBank(nn.Module):
    """One side's embeddings of all samples, moved by an exponential mean (Wu et al., 2018, arXiv 1805.01978).

    Initial rows are uniform, with an expected squared norm of 1. They come from PyTorch's global stream,
    which the builder fixes with `cktf.seeding.initialisation`.

    Attributes:
        embeddings: (num_samples, dim), a buffer.
    """

    embeddings: Tensor

    def __init__(self, num_samples: int, dim: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        bound = LARGEST_NORM / math.sqrt(dim)
        self.register_buffer("embeddings", torch.empty(num_samples, dim).uniform_(-bound, bound))

    @torch.no_grad()
    def update(self, index: Tensor, embeddings: Tensor) -> None:
        """Move the rows of a batch: m <- normalise(momentum * m + (1 - momentum) * v).

        Args:
            index: (batch,), int64: the samples' rows.
            embeddings: (batch, dim): v, L2-normalised.
        """
        moved = torch.lerp(embeddings, self.embeddings[index], self.momentum)
        self.embeddings.index_copy_(0, index, functional.normalize(moved, dim=1))
