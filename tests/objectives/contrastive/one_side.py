"""What tests ask of one side of a pair alone: its losses, as they write them, what these store, and its memory bank."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from cktf.objectives.contrastive import info_nce, nce
from cktf.objectives.contrastive.banks import MemoryBank
from cktf.objectives.contrastive.crd import CRD
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.contrastive.pair import ContrastivePair, Side


def noise_contrastive_loss(
    anchors: Tensor,
    positives: Tensor,
    rows: Tensor,
    negatives: Negatives,
    *,
    partition: float,
    temperature: float,
    num_samples: int,
) -> Tensor:
    """Return the NCE loss of anchors (batch, dim), a scalar."""
    given = anchors.unsqueeze(0), positives.unsqueeze(0), [rows], negatives
    losses = nce.noise_contrastive_loss(
        *given, partitions=[partition], temperature=temperature, num_samples=num_samples
    )
    return losses[0]


def info_nce_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, *, temperature: float
) -> Tensor:
    """Return the InfoNCE loss of anchors (batch, dim), a scalar."""
    given = anchors.unsqueeze(0), positives.unsqueeze(0), [rows], negatives
    return info_nce.info_nce_loss(*given, temperature=temperature)[0]


@contextmanager
def shapes_saved_for_backward() -> Iterator[list[torch.Size]]:
    """Yield the list of the shapes of all tensors that are saved for a backward pass inside."""
    saved: list[torch.Size] = []

    def save(tensor: Tensor) -> Tensor:
        saved.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        yield saved


def pair_of(crd: CRD) -> ContrastivePair:
    """Return the one pair of CRD."""
    (pair,) = crd.pairs.values()
    assert isinstance(pair, ContrastivePair)
    return pair


def memory_of(side: Side) -> Tensor:
    """Return the rows of a side's memory bank, as they are stored."""
    assert isinstance(side.bank, MemoryBank)
    return side.bank.embeddings
