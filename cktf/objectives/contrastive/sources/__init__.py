"""Sources of negatives: which samples are drawn (shared by all pairs) and the bank each side stores embeddings in."""

from dataclasses import replace

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.banks.bank import Bank
from cktf.objectives.contrastive.banks.memory_bank import MemoryBank
from cktf.objectives.contrastive.negatives import Negatives, Source
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.contrastive.sources.every import EveryNegative
from cktf.objectives.contrastive.sources.in_batch import BatchNegatives, CurrentEmbeddings
from cktf.objectives.contrastive.sources.queue import EmbeddingQueue, QueuedNegatives
from cktf.objectives.contrastive.sources.sampled import SampledNegatives
from cktf.objectives.contrastive.sources.shared import SharedNegatives


class Unlabelled(Source):
    """A source for which every sample is a class of its own."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch."""
        negatives: Negatives = self.source(replace(batch, labels=batch.index))
        return negatives

    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return a class of its own for every row and every sample of a batch."""
        return self.source.classes(replace(batch, labels=batch.index))


def build_source(config: ContrastiveSettings, labels: Tensor, seed: int) -> Source | None:
    """Return the source of negatives; None if the settings ask for no negatives.

    Args:
        config: Settings.
        labels: (num_samples,), int64: labels of the training samples.
        seed: The replicate's seed.

    Raises:
        ValueError: If there is only one class, so that no sample has negatives.
    """
    if config.negatives == 0:
        return None
    if not config.labels:
        return Unlabelled(_labelled_source(config, torch.arange(len(labels)), seed))
    return _labelled_source(config, labels, seed)


def build_bank(config: ContrastiveSettings, num_samples: int, dim: int) -> Bank | None:
    """Return the bank that stores one side's embeddings; None without negatives.

    Args:
        config: Settings.
        num_samples: Number of training samples.
        dim: Dimensions of an embedding.
    """
    if config.negatives == 0:
        return None
    match config.source:
        case "sampled" | "all" | "shared":
            return MemoryBank(num_samples, dim, config.momentum, config.bank_precision)
        case "queue":
            return EmbeddingQueue(config.negatives, dim, config.bank_precision)
        case "batch":
            return CurrentEmbeddings()


def _labelled_source(config: ContrastiveSettings, labels: Tensor, seed: int) -> Source:
    if bool((labels == labels[0]).all()):
        raise InputError(f"negatives are samples of other classes, but all {len(labels)} samples have one label")
    match config.source:
        case "sampled":
            return SampledNegatives(labels, config.negatives, seed)
        case "all":
            return EveryNegative(labels, config.negatives)
        case "shared":
            return SharedNegatives(labels, config.negatives, seed)
        case "queue":
            return QueuedNegatives(config.negatives)
        case "batch":
            return BatchNegatives()
