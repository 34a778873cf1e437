"""Interfaces of measures: numbers about a trained student, of its outputs on a split or of the network itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from cktf.settings import Settings


@dataclass(frozen=True)
class Predictions:
    """Outputs of a student on one split.

    Attributes:
        logits: (samples, classes), float32.
        labels: (samples,), int64.
        teacher: (samples, classes), float32: logits of the teacher; None unless a measure asks for them.
    """

    logits: Tensor
    labels: Tensor
    teacher: Tensor | None = None


class Measure(Settings, ABC):
    """Base of all measures; its fields are its settings."""

    maximise: ClassVar[bool] = True
    """Whether a larger value is better."""


class OfPredictions(Measure):
    """A measure of the outputs on the validation split, and on the test split if a trial reads it."""

    every_epoch: ClassVar[bool] = True
    """Whether it is measured after each epoch, on the validation split; else after the last one alone."""

    needs_teacher: ClassVar[bool] = False
    """Whether it reads the teacher's logits; the teacher must then know the labels' classes."""

    is_single: ClassVar[bool] = True
    """Whether it gives one number; a measure that gives several decides nothing and gets no verdict."""

    @abstractmethod
    def __call__(self, predictions: Predictions) -> Tensor | float | Mapping[str, Tensor | float]:
        """Return the number, or several numbers by name; those that are not finite are left out."""


class OfStudent(Measure):
    """A measure of the network itself, taken once, after the last epoch."""

    @abstractmethod
    def __call__(self, student: nn.Module, image: Tensor) -> Tensor | float:
        """Return the number of the trained network, which is in eval mode and must not be changed.

        ``image`` is (1, channels, height, width), normalised, on the student's device, with the channels innermost.
        """
