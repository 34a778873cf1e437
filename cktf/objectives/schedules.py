"""Numbers of a method that change in training: by a schedule over the epochs, or learned beside the student.

A step reads them as scalar tensors that are filled between epochs, so that all steps run the same operations.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import torch
from pydantic import Discriminator, Field, Tag, model_serializer, model_validator
from torch import Tensor, nn

from cktf.errors import InputError
from cktf.settings import Settings

Number = TypeVar("Number", bound=float)


class Ramp(Settings, Generic[Number]):
    """A number that moves linearly over some of a phase's epochs: ``{from: 0, to: 1, over: [0, 0.1]}``."""

    start: Number = Field(alias="from")
    """The number in the first epochs."""

    to: Number
    """The number in the last epochs."""

    over: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
    """Begin and end of the move, as shares of the way from the phase's first epoch, 0, to its last, 1. If both are
    equal, the number jumps at the first epoch that is as far."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.over[0] > self.over[1]:
            raise InputError(f"over: must be two shares, the smaller one first; got {list(self.over)}")
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"from": self.start, "to": self.to, "over": self.over}

    def at(self, epoch: int, epochs: int) -> float:
        """Return the number in an epoch (from 1) of a phase of ``epochs``: a pure function, for resuming."""
        share, (begin, end) = (epoch - 1) / max(1, epochs - 1), self.over
        if share >= end:
            return self.to
        if share <= begin:
            return self.start
        return self.start + (self.to - self.start) * (share - begin) / (end - begin)


class LearnedNumber(Settings, Generic[Number]):
    """A number that is learned: ``{learn: true, start: 0.07, min: 0.02, max: 1}``."""

    learn: Literal[True]
    """Always true; a number that is not learned is written as a plain number."""

    start: Number
    """Its first value."""

    min: Number
    """Its smallest value."""

    max: Number
    """Its largest value."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min <= self.start <= self.max or self.min == self.max:
            raise InputError(
                f"start: must be in min to max, which differ; got {self.start:g} in {self.min:g} to {self.max:g}"
            )
        return self


def _kind(value: Any) -> str:
    return "schedule" if isinstance(value, Mapping | Ramp) else "number"


def _kind_or_learned(value: Any) -> str:
    keys = {"learn", "start", "min", "max"}.intersection(value) if isinstance(value, Mapping) else ()
    return "learned" if keys or isinstance(value, LearnedNumber) else _kind(value)


SCHEDULED = Discriminator(_kind)
"""Tells a number (tag ``number``) from a `Ramp` (``schedule``), so that messages are about the kind that is meant."""

LEARNABLE = Discriminator(_kind_or_learned)
"""As `SCHEDULED`; a `LearnedNumber` has the tag ``learned``."""

_Positive = Annotated[float, Field(gt=0, le=1000)]
_Number = Annotated[_Positive, Tag("number")]
_Schedule = Annotated[Ramp[_Positive], Tag("schedule")]

LogitTemperature = Annotated[_Number | _Schedule, SCHEDULED]
"""A temperature of logits."""

LearnableLogitTemperature = Annotated[
    _Number | _Schedule | Annotated[LearnedNumber[_Positive], Tag("learned")], LEARNABLE
]
"""A temperature of logits that may be learned."""

Changing = float | Ramp[float] | LearnedNumber[float]


def bounds(number: Changing) -> tuple[float, float]:
    """Return the smallest and the largest value that a number may have in training."""
    if isinstance(number, LearnedNumber):
        return number.min, number.max
    ends = (number.start, number.to) if isinstance(number, Ramp) else (number,)
    return min(ends), max(ends)


def largest(number: Changing) -> float:
    """Return the largest value that a number may have in training."""
    return bounds(number)[1]


class Value(nn.Module):
    """The current value of a number that a method reads: a call returns a float, or a tensor if the number changes."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self) -> float | Tensor:
        return self.number


class ScheduledValue(Value):
    """A number that changes with the epochs, such as a `Ramp`: a buffer outside of the state dict.

    ``at(epoch, epochs)`` returns its value in an epoch (from 1). A step reads the buffer, not the epoch's number.
    """

    value: Tensor

    def __init__(self, at: Callable[[int, int], float]) -> None:
        super().__init__(at(1, 1))
        self.at = at
        self.register_buffer("value", torch.tensor(self.number), persistent=False)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Fill in the value of an epoch (from 1) of a phase of ``epochs``."""
        self.value.fill_(self.at(epoch, epochs))

    def forward(self) -> Tensor:
        return self.value


def warm_up(warmup_epochs: int) -> ScheduledValue:
    """Return a factor that grows linearly to 1 over the first ``warmup_epochs``; with 0 it is always 1."""
    return ScheduledValue(lambda epoch, _: min(1.0, epoch / max(1, warmup_epochs)))


class LearnedValue(Value):
    """A learned number T as the parameter log(1 / T), CLIP's log scale (Radford et al., 2021, arXiv 2103.00020).

    It is clamped to its bounds before each training step, as in CLIP.
    """

    def __init__(self, learned: LearnedNumber[float]) -> None:
        super().__init__(learned.start)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(learned.start)))
        self.low, self.high = -math.log(learned.max), -math.log(learned.min)

    def forward(self) -> Tensor:
        """Return T, a scalar; without gradients the parameter is left unchanged."""
        if not torch.is_grad_enabled():
            return self.log_scale.clamp(self.low, self.high).neg().exp()
        with torch.no_grad():
            self.log_scale.clamp_(self.low, self.high)
        return self.log_scale.neg().exp()


def value_of(number: Changing) -> Value:
    """Return the module that gives the current value of a number, from its setting."""
    if isinstance(number, Ramp):
        return ScheduledValue(number.at)
    return LearnedValue(number) if isinstance(number, LearnedNumber) else Value(number)
