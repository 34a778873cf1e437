"""Means of a training over the samples of an epoch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.trainer.distributed import Workers


class RunningMeans:
    """Means of named scalars over batches, weighted by batch size; whoever adds them counts the ``samples``.

    Reading a value at every step would make the CPU wait for the GPU, so sums stay on the device until `result`.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._sums: dict[tuple[str, ...], Tensor] = {}

    @property
    def sums(self) -> list[Tensor]:
        """The sums, float64, of the values that are added together."""
        return list(self._sums.values())

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor], samples: int) -> None:
        """Add the scalar means of one batch of that many samples."""
        weighted = torch.stack([*values.values()]).double() * samples
        if (names := tuple(values)) in self._sums:
            self._sums[names].add_(weighted)
        else:
            self._sums[names] = weighted

    def clear(self) -> None:
        """Set all sums to zero, in the same memory."""
        self.samples = 0
        for values in self.sums:
            values.zero_()

    def result(self, workers: Workers) -> tuple[dict[str, float], int]:
        """Return the means over all workers' samples, and the number of samples."""
        sums = self.sums
        *totals, samples = workers.sum(torch.cat([*sums, sums[0].new_full((1,), self.samples)])).tolist()
        means: dict[str, float] = {}
        for name, total in zip((name for names in self._sums for name in names), totals, strict=True):
            means[name] = means.get(name, 0.0) + total / samples
        return means, round(samples)


def share_correct(logits: Tensor, batch: Batch) -> Tensor:
    """Return the share of a batch that is right, a scalar, float64; of mixed images by the shares of their labels."""
    predicted = logits.argmax(dim=1)
    return batch.by_shares(lambda labels: (predicted == labels).double())
