"""Top-1 accuracy and cross-entropy of a network on one split."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Evaluation:
    """A network's figures on one split.

    Attributes:
        loss: Cross-entropy, mean over the samples.
        accuracy: Top-1, per cent.
    """

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
    """Evaluate in eval mode and leave the network in the mode it was in.

    Args:
        network: Returns `Activations`.
        batches: Normalised images (batch, channels, height, width) and labels (batch,).
    """
    was_training = network.training
    network.eval()
    # Sums stay on the device until the end: reading them at every batch would stall a GPU.
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
