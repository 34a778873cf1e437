"""Means over the samples of an epoch, summed on the device."""

import torch
from torch import Tensor

from cktf.trainer.distributed import Workers


class RunningMeans:
    """Means of named scalars over batches, weighted by batch size.

    Reading a value at every step would make the CPU wait for the GPU, so sums stay on the device until `result`.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._samples = 0

    def add(self, values: dict[str, Tensor], samples: int) -> None:
        """Add the scalar means of one batch."""
        for name, value in values.items():
            weighted = value.detach().double() * samples
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        self._samples += samples

    def result(self, workers: Workers) -> tuple[dict[str, float], int]:
        """Return the means over all workers' samples, and the number of samples."""
        count = torch.full_like(next(iter(self._sums.values())), self._samples)
        *sums, samples = workers.sum(torch.stack([*self._sums.values(), count])).tolist()
        return {name: value / samples for name, value in zip(self._sums, sums, strict=True)}, round(samples)
