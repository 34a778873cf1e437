"""What crosses the rooms: a batch of samples, a network's activations, and the shapes of those.

Data yields a `Batch`, a network turns its images into `Activations`, an objective reads both. Nothing else passes
between the three, so that none of them needs to import another. An objective that reads little of a network says so
by its `Reading`s, which may then be kept in the place of the activations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

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
        readings: Name of a `Reading` to its values, if only these were stored (see `of_readings`).
    """

    logits: Tensor
    penultimate: Tensor
    stem: Tensor
    stages: Stages
    preactivations: tuple[Tensor, ...]
    readings: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of_readings(cls, readings: Mapping[str, Tensor]) -> Self:
        """Return activations that hold readings alone.

        ``logits`` and ``penultimate`` are there if they are among the readings. To read any other attribute is an
        AttributeError, at the place that reads it.
        """
        stored = cls.__new__(cls)
        fields = {name: readings[name] for name in ("logits", "penultimate") if name in readings}
        vars(stored).update(fields, readings=readings)
        return stored

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


@dataclass(frozen=True)
class Reading:
    """One tensor made of a network's activations: what an objective reads of them where it does not need them all.

    Attributes:
        name: Says all that is done to the activations: equal names mean equal numbers. ``logits`` and ``penultimate``
            are the fields of that name.
        shape: Of one sample's values.
        of_batch: Whether they depend on the batch that the sample is in.
        compute: Activations and their batch to (batch, *shape), float.
    """

    name: str
    shape: torch.Size
    of_batch: bool
    compute: Callable[[Activations, Batch], Tensor] = field(compare=False, repr=False)
