"""What crosses the rooms: a batch of samples, a network's activations, and the shapes of those.

Data yields a `Batch`, a network turns its images into `Activations`, an objective reads both. Nothing else passes
between the three, so that none of them needs to import another.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Stages = tuple[tuple[Tensor, ...], ...]


@dataclass(frozen=True)
class Batch:
    """One training batch, on the device, augmented and normalised.

    Attributes:
        images: (batch, channels, height, width), float.
        labels: (batch,), int64.
        index: (batch,), int64: each sample's position, from 0, among the samples that are learnt from: the training
            split or, in a transfer, the images without labels. It is the row of the memory banks.
        step: Batches of this phase before this one; the address of what is drawn for this batch.
        share: Part of the whole batch that this worker holds; 1 where a trial runs on one worker.
        offset: Position of this worker's first sample in the whole batch; 0 where a trial runs on one worker.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    step: int
    share: float = 1.0
    offset: int = 0


@dataclass(frozen=True)
class Shapes:
    """Shapes of a network's activations without the batch dimension.

    Attributes:
        logits: (classes,).
        penultimate: (features,).
        stem: (channels, height, width).
        stages: For each stage, for each of its blocks: (channels, height, width).
        preactivations: For each stage: (channels, height, width); none where the network does not give them.
        image: (channels, height, width) of the network's input.
    """

    logits: torch.Size
    penultimate: torch.Size
    stem: torch.Size
    stages: tuple[tuple[torch.Size, ...], ...]
    preactivations: tuple[torch.Size, ...]
    image: torch.Size


@dataclass(frozen=True)
class Activations:
    """A network's representations of one batch, from the input to the output.

    Attributes:
        logits: (batch, classes).
        penultimate: (batch, features), the pooled vector that the classifier reads.
        stem: (batch, channels, height, width), before the first stage.
        stages: For each stage, the output of each of its blocks: (batch, channels, height, width).
        preactivations: For each stage, what the ReLU after its last block reads; shaped as that block's output.
            Empty for a network of which that is not known.
    """

    logits: Tensor
    penultimate: Tensor
    stem: Tensor
    stages: Stages
    preactivations: tuple[Tensor, ...]

    def shapes(self, images: Tensor) -> Shapes:
        """Return the shapes without the batch dimension; ``images`` is what the network was given."""
        return Shapes(
            logits=self.logits.shape[1:],
            penultimate=self.penultimate.shape[1:],
            stem=self.stem.shape[1:],
            stages=tuple(tuple(block.shape[1:] for block in blocks) for blocks in self.stages),
            preactivations=tuple(preactivation.shape[1:] for preactivation in self.preactivations),
            image=images.shape[1:],
        )
