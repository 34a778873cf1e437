"""The published way to contrast anchors with a bank, which `contrast.py` and `gpu.py` measure ours against.

Each anchor's negatives are drawn as rows, gathered, (batch, K + 1, dim), and multiplied with it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.objectives.contrastive.nce import EPSILON
from cktf.objectives.contrastive.negatives import Negatives

TEMPERATURE = 0.1


class RowsOfNegatives(nn.Module):
    """Negatives as the published loader draws them: rows (batch, K), one permutation an anchor."""

    def __init__(self, labels: Tensor, count: int) -> None:
        super().__init__()
        self.count = count
        self.others = [(labels != label).nonzero().flatten() for label in range(int(labels.max()) + 1)]

    def forward(self, batch: Batch) -> Negatives:
        """Return the rows themselves, (batch, K), int64, where `Negatives` has the weights of all rows."""
        others = [self.others[label] for label in batch.labels.tolist()]
        drawn = [rows[torch.randperm(len(rows), device=rows.device)[: self.count]] for rows in others]
        return Negatives(torch.stack(drawn), self.count, distinct=True)


def gathered_scores(anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives) -> Tensor:
    """Return exp(v . m / tau), (batch, K + 1), the positive first."""
    gathered = rows.index_select(0, negatives.weights.flatten()).view(len(anchors), -1, rows.shape[1])
    scores = torch.bmm(gathered, anchors.unsqueeze(2)).squeeze(2)
    positive = (anchors * positives).sum(1, keepdim=True)
    return torch.exp(torch.cat([positive, scores], dim=1) / TEMPERATURE)


def gathered_partition(
    anchors: Tensor, positives: Tensor, rows: Tensor, negatives: Negatives, **_settings: float
) -> Tensor:
    """Return Z, as `estimate_partition` does, but of gathered rows."""
    return gathered_scores(anchors.detach(), positives, rows, negatives).mean() * len(rows)


def gathered_losses(
    anchors: Tensor,
    positives: Tensor,
    rows: Sequence[Tensor],
    negatives: Negatives,
    *,
    partitions: Sequence[float],
    num_samples: int,
    **_settings: float,
) -> Tensor:
    """Return the NCE loss of each side, as `noise_contrastive_loss` does, but of gathered rows and by autograd."""
    sides = zip(anchors, positives, rows, partitions, strict=True)
    return torch.stack([_gathered_loss(*side, negatives, num_samples) for side in sides])


def _gathered_loss(
    anchors: Tensor, positives: Tensor, rows: Tensor, partition: float, negatives: Negatives, num_samples: int
) -> Tensor:
    p = gathered_scores(anchors, positives, rows, negatives) / partition
    noise = negatives.count / num_samples
    positive = torch.log(p[:, 0] / (p[:, 0] + noise + EPSILON))
    negative = torch.log(noise / (p[:, 1:] + noise + EPSILON))
    return -(positive.sum() + negative.sum()) / len(anchors)
