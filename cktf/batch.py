"""Types that data, models and objectives exchange: a batch of samples, a network's activations, and their shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, nn

from cktf.errors import InputError

Stages = tuple[tuple[Tensor, ...], ...]


@dataclass(frozen=True)
class Batch:
    """One training batch on the device, augmented and normalised.

    Attributes:
        images: (batch, channels, height, width), float.
        labels: (batch,), int64.
        index: (batch,), int64: position of each sample, from 0, among the training samples (in a transfer, the images
            without labels); its row in the memory banks.
        step: Number of earlier batches of this phase; key of the random numbers of this batch.
        share: Share of the whole batch that this worker holds; 1 with one worker.
        offset: Position of this worker's first sample in the whole batch; 0 with one worker.
        epoch: Pass over the samples in this phase, from 1.
        other_labels: (batch,), int64: labels of the samples that are mixed into the images; None if none are.
        own_share: (batch,), float32: share of each mixed image that is the sample of ``labels``; None likewise.
        teacher_images: (batch, channels, height, width), float: another view of the same samples, which the teacher
            sees; None if it sees ``images``.
        drawn: Random draws that parts of objectives made for this batch before its step (see `Objective.draws`); a
            part without an entry draws during the step.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    step: int
    share: float = 1.0
    offset: int = 0
    epoch: int = 1
    other_labels: Tensor | None = None
    own_share: Tensor | None = None
    teacher_images: Tensor | None = None
    drawn: Mapping[Any, Tensor] = field(default_factory=dict)

    def by_shares(self, of_labels: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean over the batch, a scalar, of a function from labels (batch,) to values (batch,), float.

        For mixed images, the values of both samples' labels are weighted by the samples' shares of the image.
        """
        values = of_labels(self.labels)
        if self.other_labels is not None and self.own_share is not None:
            values = torch.lerp(of_labels(self.other_labels), values, self.own_share.to(values.dtype))
        return values.mean()


class NoRepresentation(InputError, AttributeError):  # noqa: N818  # it names what is not there
    """A method reads a representation, such as the stem, and the network's layer for it is not known."""


@dataclass(frozen=True)
class Shapes:
    """Shapes of a network's activations without the batch dimension.

    If a network's ``penultimate``, ``stem`` or ``stages`` are not known, reading that attribute raises a
    `NoRepresentation`. Methods that read logits alone therefore take any network.

    Attributes:
        logits: (classes,).
        penultimate: (features,).
        stem: (channels, height, width).
        stages: For each stage, for each of its blocks: (channels, height, width).
        preactivations: For each stage: (channels, height, width); empty if the network does not return them.
        image: (channels, height, width) of the network's input.
        pooled: (features, height, width), or None, as `Activations.pooled`.
        role: ``student`` or ``teacher``, for messages.
    """

    logits: torch.Size
    penultimate: torch.Size
    stem: torch.Size
    stages: tuple[tuple[torch.Size, ...], ...]
    preactivations: tuple[torch.Size, ...]
    image: torch.Size
    pooled: torch.Size | None = None
    role: str = "student"

    def __getattr__(self, name: str) -> NoReturn:
        if name not in ("penultimate", "stem", "stages"):
            raise AttributeError(name)
        raise NoRepresentation(
            f"reads the {name} of the {self.role}, and no layer of {self.role}.model is known to be that; name it "
            f"under {self.role}.{name} ('cktf layers' lists a network's layers)"
        )

    def has(self, name: str) -> bool:
        """Return whether ``penultimate``, ``stem`` or ``stages`` is known."""
        return name in vars(self)


@dataclass(frozen=True)
class Activations:
    """A network's representations of one batch, from the input to the output.

    A penultimate vector or stem that is not known is None, against its type, and unknown ``stages`` are empty: methods
    that need them fail earlier, when they are built for the network's `Shapes`.

    Attributes:
        logits: (batch, classes).
        penultimate: (batch, features), the pooled vector that is the classifier's input.
        stem: (batch, channels, height, width), before the first stage.
        stages: For each stage, the output of each of its blocks: (batch, channels, height, width).
        preactivations: For each stage, the input of the ReLU after its last block; shaped as that block's output.
            Empty if it is not known.
        readings: Name of a `Reading` to its values, if only these were stored (see `of_readings`).
        pooled: (batch, features, height, width), the map whose mean over the positions is the penultimate vector, if
            layers behind the last stage make it; None if it is the ReLU of the last preactivation.
    """

    logits: Tensor
    penultimate: Tensor
    stem: Tensor
    stages: Stages
    preactivations: tuple[Tensor, ...]
    readings: Mapping[str, Tensor] = field(default_factory=dict)
    pooled: Tensor | None = None

    @classmethod
    def of_readings(cls, readings: Mapping[str, Tensor]) -> Self:
        """Return activations that hold readings alone.

        ``logits`` and ``penultimate`` are set if they are among the readings; reading any other attribute raises an
        AttributeError.
        """
        stored = cls.__new__(cls)
        fields = {name: readings[name] for name in ("logits", "penultimate") if name in readings}
        vars(stored).update(fields, readings=readings)
        return stored

    def shapes(self, images: Tensor, role: str = "student") -> Shapes:
        """Return the shapes without the batch dimension; ``images`` is the network's input."""
        shapes = Shapes(
            logits=self.logits.shape[1:],
            penultimate=torch.Size() if self.penultimate is None else self.penultimate.shape[1:],
            stem=torch.Size() if self.stem is None else self.stem.shape[1:],
            stages=tuple(tuple(block.shape[1:] for block in blocks) for blocks in self.stages),
            preactivations=tuple(preactivation.shape[1:] for preactivation in self.preactivations),
            image=images.shape[1:],
            pooled=None if self.pooled is None else self.pooled.shape[1:],
            role=role,
        )
        given = {"penultimate": self.penultimate, "stem": self.stem, "stages": self.stages or None}
        for name in (name for name, value in given.items() if value is None):
            del vars(shapes)[name]
        return shapes


@dataclass(frozen=True)
class Layers:
    """Layers of a network whose parameters a few methods read, besides its activations.

    Attributes:
        classifier: The layer that maps the penultimate vector to logits; None if it is not known.
        batch_norms: For each stage, the batch-norm before the ReLU that follows its last block; empty if a stage has
            none there or it is not known.
    """

    classifier: nn.Linear | None = None
    batch_norms: tuple[nn.BatchNorm2d, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A tensor computed from a network's activations, which may be stored in place of them.

    Attributes:
        name: Describes the computation completely: equal names mean equal values. ``logits`` and ``penultimate`` are
            the fields of that name.
        shape: Shape of one sample's values.
        of_batch: Whether the values depend on the other samples of the batch.
        compute: Maps activations and their batch to (batch, *shape), float.
    """

    name: str
    shape: torch.Size
    of_batch: bool
    compute: Callable[[Activations, Batch], Tensor] = field(compare=False, repr=False)
