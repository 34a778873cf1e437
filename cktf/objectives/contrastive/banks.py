"""Banks: each stores the embeddings of one network, which are positives and negatives for the other network's anchors.

A memory bank holds the latest embedding of every training sample, a queue those of the last samples, and
`CurrentEmbeddings` those of the batch itself.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.contrastive.queue import Queue
from cktf.objectives.contrastive.settings import BankPrecision, ContrastiveSettings
from cktf.objectives.parts.workers import gather_with_gradient

LARGEST_NORM = math.sqrt(3)
"""Largest norm of a row: an initial one at a corner of the cube that rows are drawn from; later ones have norm 1."""


class Bank(nn.Module, ABC):
    """Stored embeddings of one network, the student or the teacher, which the other's batch is contrasted with."""

    @abstractmethod
    def rows(self, embeddings: Tensor) -> Tensor:
        """Return all rows (rows, dim) that anchors may be scored against, in the order of `Source.classes`.

        ``embeddings`` (batch, dim) are this side's embeddings of the batch that is scored.
        """

    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> Tensor:
        """Return the rows (candidates, dim) that a training step scores, one for each column of `Negatives.weights`.

        ``embeddings`` (batch, dim) are this side's current embeddings of this worker's shard.
        """
        return self.rows(embeddings)

    def store(self, index: Tensor, values: Tensor) -> None:  # a bank need not store anything
        """Store values (batch, dim) of the samples ``index`` (batch,) of the whole batch, over all workers."""


class MemoryBank(Bank):
    """One side's exponential moving averages of all samples' embeddings (Wu et al., 2018, arXiv 1805.01978).

    Initial rows are random (see `random_rows`). In bfloat16 they take half the memory, but are updated in float32.
    """

    embeddings: Tensor

    def __init__(self, num_samples: int, dim: int, precision: BankPrecision = "float32") -> None:
        super().__init__()
        self.register_buffer("embeddings", random_rows(num_samples, dim, precision))

    def rows(self, embeddings: Tensor) -> Tensor:
        return self.embeddings

    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> Tensor:
        return self.embeddings if negatives.rows is None else self.embeddings.index_select(0, negatives.rows)

    @torch.no_grad()
    def store(self, index: Tensor, values: Tensor) -> None:
        self.embeddings.index_copy_(0, index, values)


class EmbeddingQueue(Bank):
    """One side's embeddings of the last samples; it starts with random rows, as a `MemoryBank` does."""

    def __init__(self, length: int, dim: int, precision: BankPrecision) -> None:
        super().__init__()
        self.embeddings = Queue(random_rows(length, dim, precision))

    def rows(self, embeddings: Tensor) -> Tensor:
        return self.embeddings.values

    def store(self, index: Tensor, values: Tensor) -> None:
        self.embeddings.push(values)


class CurrentEmbeddings(Bank):
    """One side's embeddings of the batch itself, as a bank: nothing is stored, and gradients flow through."""

    def rows(self, embeddings: Tensor) -> Tensor:
        return embeddings

    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> Tensor:
        return gather_with_gradient(embeddings, batch)


@torch.no_grad()
def moved_towards(embeddings: Tensor, rows: Tensor, momentum: float) -> Tensor:
    """Return rows m of memory banks, moved towards embeddings v: normalise(momentum * m + (1 - momentum) * v)."""
    moved = torch.lerp(embeddings, rows.float(), momentum)
    return functional.normalize(moved, dim=-1).to(rows.dtype)


def random_rows(num_rows: int, dim: int, precision: BankPrecision) -> Tensor:
    """Return uniform random rows (num_rows, dim) of expected squared norm 1, drawn from PyTorch's global stream."""
    bound = LARGEST_NORM / math.sqrt(dim)
    rows = torch.empty(num_rows, dim).uniform_(-bound, bound)
    return rows if precision == "float32" else rows.bfloat16()


def build_bank(config: ContrastiveSettings, num_samples: int, dim: int) -> Bank | None:
    """Return one side's bank, for ``num_samples`` training samples or a queue of them; None without negatives."""
    if config.negatives == 0:
        return None
    match config.source:
        case "sampled" | "all" | "shared":
            return MemoryBank(num_samples, dim, config.bank_precision)
        case "queue":
            return EmbeddingQueue(config.negatives, dim, config.bank_precision)
        case "batch":
            return CurrentEmbeddings()
