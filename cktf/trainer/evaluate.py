"""Top-1 accuracy and cross-entropy of a network on one split, and means over the steps of an epoch."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.trainer.distributed import Workers


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy and top-1 accuracy (per cent) on one split."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
    """Return a network's evaluation in eval mode; the network's mode is restored.

    ``batches`` are normalised images (batch, channels, height, width) and labels (batch,).
    """
    was_training = network.training
    network.eval()
    # Sums stay on the device: reading them at every batch would stall a GPU.
    totals: list[Tensor] = []
    count = 0
    for images, labels in batches:
        logits = network(images).logits.float()
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        correct = (logits.argmax(dim=1) == labels).sum()
        totals.append(torch.stack([loss.double(), correct.double()]))
        count += len(labels)
    network.train(was_training)
    loss_sum, correct_sum = torch.stack(totals).sum(dim=0).tolist()
    return Evaluation(loss=loss_sum / count, accuracy=100 * correct_sum / count)


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
