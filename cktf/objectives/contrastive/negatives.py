"""Negatives: which samples the anchors of a batch are contrasted with."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.objectives.parts.workers import gather_batch


@dataclass(frozen=True)
class Negatives:
    """The negatives of one batch, for all pairs and both sides.

    Attributes:
        weights: (batch, candidates), float32: how often each candidate is a negative of each anchor.
        count: K, of NCE's noise K / n.
        distinct: Whether all weights are 0 or 1, which saves the contrast some work.
        scale: (batch,), float32: factor of each anchor's weights; None: 1.
        rows: (candidates,), int64: rows of a bank that are candidates; None: all rows, in order.
        mean_count: Negatives of an anchor, mean over the whole batch; None: K for each.
    """

    weights: Tensor
    count: int
    distinct: bool
    scale: Tensor | None = None
    rows: Tensor | None = None
    mean_count: Tensor | None = None

    @property
    def per_anchor(self) -> float | Tensor:
        """How many negatives an anchor has on average."""
        return self.count if self.mean_count is None else self.mean_count


class Source(nn.Module, ABC):
    """Chooses a batch's negatives, once for all pairs."""

    @abstractmethod
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a training batch."""

    @abstractmethod
    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the classes of all rows of a bank, (rows,), and of a batch's samples, (batch,); no state changes.

        A row is a negative of a sample if the two differ. The batch may be of validation samples, whose ``index``
        addresses no row.
        """


@torch.no_grad()
def of_other_classes(classes: Tensor, batch: Batch, count: int, rows: Tensor | None = None) -> Negatives:
    """Return as negatives all candidates that are of another class than the anchor.

    Args:
        classes: (candidates,): class of each candidate.
        batch: The batch of the anchors.
        count: K.
        rows: Rows of a bank that are candidates; None: all, in order.
    """
    weights = (classes != batch.labels.unsqueeze(1)).float()
    mean_count = gather_batch(weights.sum(1), batch).mean()
    return Negatives(weights, count, distinct=True, rows=rows, mean_count=mean_count)
