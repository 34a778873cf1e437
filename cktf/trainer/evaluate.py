"""Top-1 accuracy, cross-entropy and outputs of a network on one split."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Shapes

MOST_AT_ONCE = 500
"""Largest number of images that are evaluated at once."""

SMALL = 32 * 2**20
"""Bytes of maps up to which more images may be evaluated at once than are trained at once."""


@dataclass(frozen=True)
class Evaluation:
    """Results of a network on one split.

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


def images_at_once(shapes: Shapes, trained: int) -> int:
    """Return how many images a network of these shapes evaluates at once, in no more memory than it trains in.

    These are as many as it trains at once (``trained``), or more if all their maps fit into `SMALL` bytes; at most
    `MOST_AT_ONCE`.
    """
    if not shapes.has("stages"):  # its maps are not known
        return min(MOST_AT_ONCE, trained)
    stem = [shapes.stem] if shapes.has("stem") else []
    maps = [shapes.image, *stem, *shapes.preactivations, *(block for blocks in shapes.stages for block in blocks)]
    bytes_of_one = 4 * sum(shape.numel() for shape in maps)
    return min(MOST_AT_ONCE, max(trained, SMALL // bytes_of_one))


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, with_logits: bool = False) -> Evaluation:
    """Return a network's evaluation in eval mode and in float32; the network's mode is restored.

    ``batches`` are normalised images (batch, channels, height, width) and labels (batch,).
    """
    was_training = network.training
    network.eval()
    # Sums stay on the device: reading them at every batch would stall a GPU.
    totals: list[Tensor] = []
    pieces: list[tuple[Tensor, ...]] = []
    for images, labels in batches:
        with _no_tf32():
            logits = network(images).logits.float()
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        correct = logits.argmax(dim=1) == labels
        totals.append(torch.stack([loss.double(), correct.sum().double()]))
        pieces.append((correct, labels, *([logits] if with_logits else [])))
    network.train(was_training)
    loss_sum, correct_sum = torch.stack(totals).sum(dim=0).tolist()
    correct, labels, *others = map(torch.cat, zip(*pieces, strict=True))
    count, logits = len(labels), others[0] if others else None
    return Evaluation(loss_sum / count, 100 * correct_sum / count, correct, logits, labels)


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Run cuDNN's convolutions in float32: with the 10 bits of TF32, as in training, some predictions would flip."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
