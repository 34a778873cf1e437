"""Losses of one side of a pair alone, as the tests of formulas write them."""

from torch import Tensor

from cktf.objectives.contrastive import info_nce, nce
from cktf.objectives.contrastive.negatives import Negatives


def noise_contrastive_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, *, partition: float, **settings: float
) -> Tensor:
    """Return the NCE loss of anchors (batch, dim), a scalar."""
    given = anchors.unsqueeze(0), positives.unsqueeze(0), [rows], negatives
    return nce.noise_contrastive_loss(*given, partitions=[partition], **settings)[0]


def info_nce_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, *, temperature: float
) -> Tensor:
    """Return the InfoNCE loss of anchors (batch, dim), a scalar."""
    given = anchors.unsqueeze(0), positives.unsqueeze(0), [rows], negatives
    return info_nce.info_nce_loss(*given, temperature=temperature)[0]
