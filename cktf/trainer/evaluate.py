"""Top-1 accuracy, cross-entropy and outputs of a network on one split."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Evaluation:
    """How a network does on one split.

    Attributes:
        loss: Mean cross-entropy.
        accuracy: Top-1, per cent.
        correct: (samples,), bool, on the device: which samples are right.
        logits: (samples, classes), float32, on the device; None unless they were asked for.
        labels: (samples,), int64, on the device.
    """

    loss: float
    accuracy: float
    correct: Tensor
    logits: Tensor | None
    labels: Tensor


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, with_logits: bool = False) -> Evaluation:
    """Return a network's evaluation in eval mode; the network's mode is restored.

    Args:
        network: The network.
        batches: Normalised images (batch, channels, height, width) and labels (batch,).
        with_logits: Whether the logits are returned.
    """
    was_training = network.training
    network.eval()
    # Sums stay on the device: reading them at every batch would stall a GPU.
    totals: list[Tensor] = []
    pieces: list[tuple[Tensor, ...]] = []
    count = 0
    for images, labels in batches:
        logits = network(images).logits.float()
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        correct = logits.argmax(dim=1) == labels
        totals.append(torch.stack([loss.double(), correct.sum().double()]))
        pieces.append((correct, labels, *([logits] if with_logits else [])))
        count += len(labels)
    network.train(was_training)
    loss_sum, correct_sum = torch.stack(totals).sum(dim=0).tolist()
    correct, labels, *others = map(torch.cat, zip(*pieces, strict=True))
    return Evaluation(loss_sum / count, 100 * correct_sum / count, correct, others[0] if others else None, labels)
