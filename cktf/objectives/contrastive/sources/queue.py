"""The embeddings of the last batches as negatives: He et al., CVPR 2020, arXiv 1911.05722."""

from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.objectives.contrastive.banks.bank import Bank, BankPrecision, random_rows
from cktf.objectives.contrastive.negatives import Negatives, Source, of_other_classes
from cktf.objectives.parts.workers import gather_batch

NO_CLASS = -1
"""Label of a row that no sample has taken yet: it is a negative of every anchor."""


class Queue(nn.Module):
    """The last values that were pushed, first in, first out, in memory that does not grow.

    Args:
        values: (length, ...): the initial values.

    Attributes:
        values: The last pushed values, a buffer.
        position: Index of the next value to be replaced. In the state dict, but a number, so that no step waits for it.
    """

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.position = 0
        self.register_buffer("values", values)

    @torch.no_grad()
    def push(self, values: Tensor) -> None:
        """Put values (batch, ...) in the place of the oldest."""
        length = len(self.values)
        end = self.position + len(values)
        values = values[-length:]
        places = torch.arange(end - len(values), end, device=values.device) % length
        self.values.index_copy_(0, places, values.to(self.values.dtype))
        self.position = end % length

    def get_extra_state(self) -> dict[str, int]:
        """Return the part of the state dict besides parameters and buffers."""
        return {"position": self.position}

    def set_extra_state(self, state: Any) -> None:
        """Restore the state that `get_extra_state` returned."""
        self.position = state["position"]


class QueuedNegatives(Source):
    """The last K samples of the trial, of which those of an anchor's class do not count.

    Their labels are stored here, once for all pairs; their embeddings in an `EmbeddingQueue` for each side.

    Args:
        count: K, the queues' length.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.labels = Queue(torch.full((count,), NO_CLASS))

    @torch.no_grad()
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch, and take its labels into the queue for the next."""
        negatives = of_other_classes(self.labels.values, batch, self.count)
        self.labels.push(gather_batch(batch.labels, batch))
        return negatives

    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the classes of the queue's rows and of a batch's samples."""
        return self.labels.values, batch.labels


class EmbeddingQueue(Bank):
    """One side's embeddings of the last samples, in memory that does not depend on how many there are.

    Until samples have filled it, rows are random, as the initial ones of a `MemoryBank`.
    """

    def __init__(self, length: int, dim: int, precision: BankPrecision) -> None:
        super().__init__()
        self.embeddings = Queue(random_rows(length, dim, precision))

    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """Return the current embeddings as positives, constants as the rows are, and all rows."""
        return embeddings.detach(), self.embeddings.values

    def rows(self, embeddings: Tensor) -> Tensor:
        """Return the last samples' embeddings."""
        return self.embeddings.values

    def update(self, batch: Batch, embeddings: Tensor) -> None:
        """Push the embeddings of a batch."""
        self.embeddings.push(gather_batch(embeddings, batch))
