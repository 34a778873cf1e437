"""One draw of samples a batch, shared by its anchors."""

import torch
from torch import Tensor

from cktf import seeding
from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import Negatives, Source, of_other_classes


class SharedNegatives(Source):
    """K samples a batch, uniform, without replacement where there are K; an anchor's own class does not count.

    An anchor so has K times the other classes' share of the samples as negatives, on average. The products of a
    batch are with K rows of the bank instead of all. The draw depends on (seed, step) alone, so that all pairs and
    all data-parallel workers share it.

    Args:
        labels: (num_samples,), int64: labels of the training samples.
        count: K.
        seed: The replicate's seed.
    """

    labels: Tensor

    def __init__(self, labels: Tensor, count: int, seed: int) -> None:
        super().__init__()
        self.count = count
        self.seed = seed
        self.register_buffer("labels", labels, persistent=False)

    @torch.no_grad()
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch."""
        device = self.labels.device
        generator = seeding.generator(self.seed, "shared negatives", batch.step, device=device)
        if self.count <= len(self.labels):
            rows = torch.randperm(len(self.labels), generator=generator, device=device)[: self.count]
        else:
            rows = torch.randint(len(self.labels), (self.count,), generator=generator, device=device)
        rows = rows.sort().values  # so that every gather runs through its bank once, in the order of memory
        return of_other_classes(self.labels[rows], batch, self.count, rows)

    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the classes of the training samples, and of a batch's samples."""
        return self.labels, batch.labels
