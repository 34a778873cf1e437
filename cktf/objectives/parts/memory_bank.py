"""The memory bank: the latest embedding of every training sample."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Batch
from cktf.objectives.parts.negatives import Negatives

BankPrecision = Literal["float32", "bfloat16"]

LARGEST_NORM = math.sqrt(3)
"""Of a row: that of a corner of the cube which initial rows are drawn in; later ones have norm 1."""


def random_rows(num_rows: int, dim: int, precision: BankPrecision) -> Tensor:
    """Return uniform rows (num_rows, dim), whose expected squared norm is 1, from PyTorch's global stream."""
    bound = LARGEST_NORM / math.sqrt(dim)
    rows = torch.empty(num_rows, dim).uniform_(-bound, bound)
    return rows if precision == "float32" else rows.bfloat16()


class MemoryBank(nn.Module):
    """One side's embeddings of all samples, moved by an exponential mean (Wu et al., 2018, arXiv 1805.01978).

    Initial rows are uniform, with an expected squared norm of 1. They come from PyTorch's global stream,
    which the builder fixes with `cktf.seeding.initialisation`.

    Attributes:
        embeddings: (num_samples, dim), a buffer; in bfloat16 half the memory, and rows move in float32 all the
            same.
    """

    embeddings: Tensor

    def __init__(
        self, num_samples: int, dim: int, momentum: float, precision: BankPrecision = "float32"
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("embeddings", random_rows(num_samples, dim, precision))

    def candidates(
        self,
        embeddings: Tensor,
        batch: Batch,
        negatives: Negatives,
    ) -> tuple[Tensor, Tensor]:
        """Return positives (batch, dim), the samples' own rows, and the rows that may be negatives.

        Args:
            embeddings: (batch, dim): the current ones, which count in the next step.
            batch: The batch.
            negatives: Of the batch; the rows they name are gathered, or all are returned as they are.
        """
        positives = self.embeddings[batch.index].float()
        if negatives.rows is None:
            return positives, self.embeddings
        return positives, self.embeddings.index_select(0, negatives.rows)

    @torch.no_grad()
    def update(self, index: Tensor, embeddings: Tensor) -> None:
        """Move the rows of a batch: m <- normalise(momentum * m + (1 - momentum) * v).

        Args:
            index: (batch,), int64: the samples' rows.
            embeddings: (batch, dim): v, L2-normalised.
        """
        moved = torch.lerp(embeddings, self.embeddings[index].float(), self.momentum)
        rows = functional.normalize(moved, dim=1).to(self.embeddings.dtype)
        self.embeddings.index_copy_(0, index, rows)
