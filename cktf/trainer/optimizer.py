"""The optimizer and its learning-rate schedule."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from cktf.errors import InputError
from cktf.settings import Settings


class OptimizerConfig(Settings):
    """Stochastic gradient descent with momentum, as in the paper's experiments."""

    learning_rate: float = Field(default=0.05, gt=0)
    """Learning rate of the first epoch (after warm-up). The published runs use 0.05, and 0.01 for MobileNetV2,
    ShuffleV1 and ShuffleV2 (no default here depends on the network); their teachers of these families were trained with
    `nesterov`."""

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum coefficient."""

    nesterov: bool = False
    """Whether to use Nesterov momentum."""

    weight_decay: float = Field(default=5e-4, ge=0)
    """L2 penalty on every trained parameter, as in the published runs."""

    schedule: Literal["step", "cosine", "constant"] = "step"
    """`step`: times `decay` at each milestone; `cosine`: to zero over all epochs."""

    milestones: tuple[Annotated[float, Field(gt=0)], ...] = (0.625, 0.75, 0.875)
    """For `step`: epochs at which the rate falls, as fractions of all epochs (the paper's 150, 180, 210 of 240)."""

    decay: float = Field(default=0.1, gt=0, le=1)
    """For `step`: the factor at each milestone."""

    warmup_epochs: int = Field(default=0, ge=0)
    """Epochs over which the rate rises linearly to `learning_rate`."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of all gradients together; larger ones are scaled down. None: no limit."""

    @field_validator("milestones")
    @classmethod
    def _are_fractions(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(milestone >= 1 for milestone in milestones):
            raise InputError("must be fractions of all epochs, below 1: 150 of 240 epochs is 0.625")
        return milestones

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise InputError("nesterov looks ahead along the momentum, which is 0")
        return self

    def constant(self, learning_rate: float) -> Self:
        """Return the same optimizer with a constant learning rate."""
        return self.model_copy(update={"learning_rate": learning_rate, "schedule": "constant", "warmup_epochs": 0})

    def require_fitting(self, epochs: int) -> None:
        """Raise an InputError if the warm-up would fill all epochs."""
        if self.warmup_epochs >= epochs:
            raise InputError(f"optimizer.warmup_epochs is {self.warmup_epochs}; must be less than epochs, {epochs}")


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.SGD:
    """Return the optimizer of all trained parameters: the student's and the objectives' heads'."""
    return torch.optim.SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True,  # one pass over the parameters; small students are bound by the number of calls
    )


def learning_rate(config: OptimizerConfig, epoch: int, epochs: int) -> float:
    """Return the learning rate of one epoch (from 1) of all epochs of a phase.

    It is a pure function, so that a resumed trial needs no schedule state.
    """
    if epoch <= config.warmup_epochs:
        return config.learning_rate * epoch / (config.warmup_epochs + 1)
    match config.schedule:
        case "constant":
            factor = 1.0
        case "cosine":
            progress = (epoch - 1 - config.warmup_epochs) / max(1, epochs - config.warmup_epochs)
            factor = 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            # The published rule: the first epoch with the lower rate is the one after the milestone.
            passed = sum(epoch > round(fraction * epochs) for fraction in config.milestones)
            factor = config.decay**passed
    return config.learning_rate * factor
