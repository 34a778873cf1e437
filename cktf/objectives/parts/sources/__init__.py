"""Where negatives come from: who they are, once for all pairs, and for each side what keeps their embeddings."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.objectives.parts.bank import Bank, BankPrecision
from cktf.objectives.parts.memory_bank import MemoryBank
from cktf.objectives.parts.negatives import Negatives
from cktf.objectives.parts.sources.every import EveryNegative
from cktf.objectives.parts.sources.in_batch import BatchNegatives, CurrentEmbeddings
from cktf.objectives.parts.sources.queue import EmbeddingQueue, QueuedNegatives
from cktf.objectives.parts.sources.sampled import SampledNegatives
from cktf.objectives.parts.sources.shared import SharedNegatives

Source = Literal["sampled", "all", "shared", "queue", "batch"]


class Unlabelled(nn.Module):
    """A source to which every sample is a class of its own."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.source = source

    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch."""
        negatives: Negatives = self.source(replace(batch, labels=batch.index))
        return negatives


def build_source(source: Source, count: int, labels: Tensor, seed: int, *, use_labels: bool) -> nn.Module:
    """Return a module from `Batch` to `Negatives`.

    Args:
        source: Which.
        count: K.
        labels: (num_samples,), int64: of the samples that are learnt from.
        seed: The replicate's seed.
        use_labels: Whether a negative is of another class; if not, it is any other sample.

    Raises:
        ValueError: If there is only one class, so that no sample has negatives.
    """
    if not use_labels:
        return Unlabelled(build_source(source, count, torch.arange(len(labels)), seed, use_labels=True))
    if bool((labels == labels[0]).all()):
        raise ValueError(
            f"negatives are samples of other classes, but all {len(labels)} samples have one label"
        )
    match source:
        case "sampled":
            return SampledNegatives(labels, count, seed)
        case "all":
            return EveryNegative(labels, count)
        case "shared":
            return SharedNegatives(labels, count, seed)
        case "queue":
            return QueuedNegatives(count)
        case "batch":
            return BatchNegatives()


def build_bank(
    source: Source, num_samples: int, count: int, dim: int, momentum: float, precision: BankPrecision
) -> Bank:
    """Return what keeps one side's embeddings for a source.

    Args:
        source: Which.
        num_samples: How many are learnt from.
        count: K.
        dim: Of an embedding.
        momentum: Share of the old embedding when a row of a memory bank moves.
        precision: In which embeddings are kept.
    """
    match source:
        case "sampled" | "all" | "shared":
            return MemoryBank(num_samples, dim, momentum, precision)
        case "queue":
            return EmbeddingQueue(count, dim, precision)
        case "batch":
            return CurrentEmbeddings()
