"""Every sample of another class as a negative: what the sampled negatives are on average."""

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import Negatives, Source


class EveryNegative(Source):
    """All samples of other classes, each counted K / available times: no draw, and no noise of one.

    The NCE loss is a sum over the negatives, so this is the expectation of the loss with K sampled negatives. Of
    InfoNCE, the logarithm of such a sum, it is the limit of many negatives, and an upper bound of the expectation.

    Args:
        labels: (num_samples,), int64: labels of the training samples, at least two classes.
        count: K.
    """

    labels: Tensor
    scales: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        super().__init__()
        self.count = count
        available = len(labels) - torch.bincount(labels)
        self.register_buffer("labels", labels.int(), persistent=False)
        self.register_buffer("scales", count / available, persistent=False)

    @torch.no_grad()
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch."""
        weights = (self.labels != batch.labels.int().unsqueeze(1)).float()
        return Negatives(weights, self.count, distinct=True, scale=self.scales[batch.labels])

    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the classes of the training samples, and of a batch's samples."""
        return self.labels, batch.labels
