"""Interface of a bank: stores one network's embeddings, which serve as positives and negatives for the other's."""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import Negatives

BankPrecision = Literal["float32", "bfloat16"]

LARGEST_NORM = math.sqrt(3)
"""Largest norm of a row: of a corner of the cube that initial rows are drawn from; later rows have norm 1."""


class Bank(nn.Module, ABC):
    """Embeddings of one side."""

    @abstractmethod
    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """Return each anchor's positive (batch, dim) and the rows (candidates, dim) that its negatives are among.

        Args:
            embeddings: (batch, dim): this side's current ones of the batch.
            batch: The batch.
            negatives: Negatives of the batch; a column of their weights is a row.
        """

    @abstractmethod
    def rows(self, embeddings: Tensor) -> Tensor:
        """Return all rows that anchors may be scored against, (rows, dim), in the order of `Source.classes`.

        Args:
            embeddings: (batch, dim): this side's of the batch that is scored.
        """

    @abstractmethod
    def update(self, batch: Batch, embeddings: Tensor) -> None:
        """Store the embeddings of a batch, from all workers.

        Args:
            batch: This worker's shard of the batch.
            embeddings: (batch, dim): this side's, as the head gives them.
        """


def random_rows(num_rows: int, dim: int, precision: BankPrecision) -> Tensor:
    """Return uniform rows (num_rows, dim), whose expected squared norm is 1.

    They come from PyTorch's global stream, which the builder fixes with `cktf.seeding.initialisation`.
    """
    bound = LARGEST_NORM / math.sqrt(dim)
    rows = torch.empty(num_rows, dim).uniform_(-bound, bound)
    return rows if precision == "float32" else rows.bfloat16()
