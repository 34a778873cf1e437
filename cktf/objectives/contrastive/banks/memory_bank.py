"""The memory bank: the latest embedding of every training sample."""

import torch
from torch import Tensor
from torch.nn import functional

from cktf.batch import Batch
from cktf.objectives.contrastive.banks.bank import Bank, BankPrecision, random_rows
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.parts.workers import gather_batch


class MemoryBank(Bank):
    """One side's embeddings of all samples, moved by an exponential mean (Wu et al., 2018, arXiv 1805.01978).

    Initial rows are random (see `random_rows`).

    Attributes:
        embeddings: (num_samples, dim), a buffer; in bfloat16 half the memory, though rows are updated in float32.
    """

    embeddings: Tensor

    def __init__(self, num_samples: int, dim: int, momentum: float, precision: BankPrecision = "float32") -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("embeddings", random_rows(num_samples, dim, precision))

    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """Return the rows of the batch's samples, and the rows that the negatives name; all rows if they name none."""
        positives = self.embeddings[batch.index].float()
        if negatives.rows is None:
            return positives, self.embeddings
        return positives, self.embeddings.index_select(0, negatives.rows)

    def rows(self, embeddings: Tensor) -> Tensor:
        """Return the rows of all training samples."""
        return self.embeddings

    @torch.no_grad()
    def update(self, batch: Batch, embeddings: Tensor) -> None:
        """Move the rows of a batch: m <- normalise(momentum * m + (1 - momentum) * v).

        Args:
            batch: Its ``index`` are rows.
            embeddings: (batch, dim): v, L2-normalised.
        """
        index, embeddings = gather_batch(batch.index, batch), gather_batch(embeddings, batch)
        moved = torch.lerp(embeddings, self.embeddings[index].float(), self.momentum)
        rows = functional.normalize(moved, dim=1).to(self.embeddings.dtype)
        self.embeddings.index_copy_(0, index, rows)
