"""Means over an epoch's samples, kept on the device until the epoch ends."""

import torch
from torch import Tensor

from cktf.trainer.distributed import World


class RunningMeans:
    """Means of named scalars, weighted by the samples of the batch each one is a mean of.

    Reading a value at every step would make the CPU wait for the GPU; sums stay where they are until `result`.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._samples = 0

    def add(self, values: dict[str, Tensor], samples: int) -> None:
        """Add one batch's scalar tensors."""
        for name, value in values.items():
            weighted = value.detach().double() * samples
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        self._samples += samples

    def result(self, world: World) -> tuple[dict[str, float], int]:
        """Return the means over all workers' samples, and how many samples those are."""
        count = torch.full_like(next(iter(self._sums.values())), self._samples)
        *sums, samples = world.sum(torch.stack([*self._sums.values(), count])).tolist()
        return {name: value / samples for name, value in zip(self._sums, sums, strict=True)}, round(samples)
