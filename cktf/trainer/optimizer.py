"""The optimizer and its learning-rate schedule."""

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from cktf.errors import InputError
from cktf.settings import Settings

Beta = Annotated[float, Field(ge=0, lt=1)]
"""Decay rate of a running average: share of the old value that a step keeps."""


class OptimizerConfig(Settings):
    """The optimizer and its schedule; by default stochastic gradient descent, as in the paper's experiments."""

    name: Literal["sgd", "adamw"] = "sgd"
    """`sgd`: stochastic gradient descent with `momentum`; `adamw`: Adam with decoupled weight decay (Loshchilov and
    Hutter, ICLR 2019, arXiv 1711.05101), with `betas`."""

    learning_rate: float = Field(default=0.05, gt=0)
    """Learning rate of the first epoch (after warm-up). The published runs use 0.05, and 0.01 for MobileNetV2,
    ShuffleV1 and ShuffleV2 (no default here depends on the network); their teachers of these families were trained with
    `nesterov`."""

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """For `sgd`: momentum coefficient."""

    nesterov: bool = False
    """For `sgd`: whether to use Nesterov momentum (Sutskever et al., ICML 2013)."""

    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """For `adamw`: shares of the old averages of gradients and of their squares that each step keeps."""

    weight_decay: float = Field(default=5e-4, ge=0)
    """For `sgd`: L2 penalty, as in the published runs; for `adamw`: share of a parameter that each step takes away,
    times the learning rate."""

    bias_decay: bool = True
    """Whether the weight decay acts on every trained parameter, as in the published runs. `false`: not on biases and
    the parameters of norms, which are those of one dimension or none (He et al., CVPR 2019, arXiv 1812.01187, section
    3.1)."""

    head_learning_rate: float | None = Field(default=None, gt=0)
    """Learning rate of the objectives' own parameters, such as projection heads, in the main phase; it follows the same
    schedule. None: `learning_rate`. A teacher's training and a probe have no such parameters."""

    schedule: Literal["step", "cosine", "linear", "constant"] = "step"
    """`step`: times `decay` at each milestone; to zero over all epochs as half a `cosine` (Loshchilov and Hutter, ICLR
    2017, arXiv 1608.03983, without restarts) or on a line, `linear` (Li et al., ICLR 2020, arXiv 1905.04753)."""

    milestones: tuple[Annotated[float, Field(gt=0)], ...] = (0.625, 0.75, 0.875)
    """For `step`: epochs at which the rate falls, as fractions of all epochs (the paper's 150, 180, 210 of 240)."""

    decay: float = Field(default=0.1, gt=0, le=1)
    """For `step`: the factor at each milestone."""

    warmup_epochs: int = Field(default=0, ge=0)
    """Epochs over which the rate rises linearly to `learning_rate` (Goyal et al., 2017, arXiv 1706.02677)."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of all gradients together; larger ones are scaled down. None: no limit."""

    accumulate: int = Field(default=1, ge=1, le=10_000)
    """Batches whose gradients make one step, on the mean loss of all their samples (Ott et al., 2018, arXiv
    1806.00187, section 3). Batch-norm, negatives and banks see one batch. The last step of an epoch may have fewer."""

    @field_validator("milestones")
    @classmethod
    def _are_fractions(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if any(milestone >= 1 for milestone in milestones):
            raise InputError("must be fractions of all epochs, below 1: 150 of 240 epochs is 0.625")
        return milestones

    @model_validator(mode="after")
    def _settings_act(self) -> Self:
        owners = {"momentum": "sgd", "nesterov": "sgd", "betas": "adamw"}
        for key, owner in owners.items():
            if self.name != owner and getattr(self, key) != type(self).model_fields[key].default:
                raise InputError(f"{key}: only {owner} has it; got {getattr(self, key)} for {self.name}")
        if self.nesterov and self.momentum == 0:
            raise InputError("nesterov looks ahead along the momentum, which is 0")
        return self

    def constant(self, learning_rate: float) -> Self:
        """Return the same optimizer with one constant learning rate."""
        rates = {"learning_rate": learning_rate, "head_learning_rate": None}
        return self.model_copy(update={**rates, "schedule": "constant", "warmup_epochs": 0})

    def require_fitting(self, epochs: int, *, has_heads: bool) -> None:
        """Raise an InputError if the warm-up would fill all epochs, or a head learning rate has no heads to act on."""
        if self.head_learning_rate is not None and not has_heads:
            raise InputError("optimizer.head_learning_rate: no objective's parameters are trained here; leave it out")
        if self.warmup_epochs >= epochs:
            raise InputError(f"optimizer.warmup_epochs is {self.warmup_epochs}; must be less than epochs, {epochs}")


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter], heads: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Return the optimizer of all trained parameters: the student's and the objectives' ``heads``.

    A group of parameters with a learning rate of its own has it as a ``factor`` of the others'.
    """
    rate, own_rate = config.learning_rate, config.head_learning_rate
    own = {id(head) for head in heads} if own_rate is not None else set()
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for parameter in parameters:
        is_own, decays = id(parameter) in own, config.bias_decay or parameter.ndim > 1
        described = {"params": [], "weight_decay": config.weight_decay if decays else 0.0}
        if is_own:
            described["factor"] = (own_rate or 0) / rate
        groups.setdefault((is_own, decays), described)["params"].append(parameter)
    # Fused: one pass over the parameters; small students are bound by the number of calls.
    if config.name == "adamw":
        return torch.optim.AdamW([*groups.values()], lr=rate, betas=config.betas, fused=True)
    momentum, nesterov = config.momentum, config.nesterov
    return torch.optim.SGD([*groups.values()], lr=rate, momentum=momentum, nesterov=nesterov, fused=True)


def accumulated(number: int, samples: int, batch_size: int, accumulate: int) -> tuple[float, bool]:
    """Return a batch's share of the samples of its step of the optimizer, and whether it is the step's last batch.

    ``number`` is the batch's index in its epoch, from 0; ``accumulate`` batches make a step.
    """
    first = number - number % accumulate
    of_step = min(samples, (first + accumulate) * batch_size) - first * batch_size
    size = min(batch_size, samples - number * batch_size)
    return size / of_step, (number - first) * batch_size + size == of_step


def learning_rate(config: OptimizerConfig, epoch: int, epochs: int) -> float:
    """Return the learning rate of one epoch (from 1) of all epochs of a phase."""
    warmup = config.warmup_epochs
    if epoch <= warmup:
        return config.learning_rate * epoch / (warmup + 1)
    progress = (epoch - 1 - warmup) / max(1, epochs - warmup)
    match config.schedule:
        case "constant":
            factor = 1.0
        case "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * progress))
        case "linear":
            factor = 1 - progress
        case "step":
            # The published rule: the first epoch with the lower rate is the one after the milestone.
            passed = sum(epoch > round(fraction * epochs) for fraction in config.milestones)
            factor = config.decay**passed
    return config.learning_rate * factor
