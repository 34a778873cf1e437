"""Layers of a network by name, and pairs of them.

A layer is ``stem``, ``stage1``, ``stage2``, ..., ``penultimate``, or one block of a stage: ``stage3.0`` is the first
block of the third stage. Stages are counted from 1, as the papers name them, and blocks from 0. A stage alone means
its last block.
"""

import re
from typing import overload

import torch
from pydantic import Field, field_validator
from torch import Tensor

from cktf.batch import Activations, Shapes
from cktf.errors import InputError, shown
from cktf.settings import Settings

_LAYER = re.compile(r"stem|penultimate|stage[1-9][0-9]*(\.[0-9]+)?")


class LayerPair(Settings):
    """A layer of the student that is compared with a layer of the teacher."""

    student: str
    """Layer of the student: stem, stage1, stage1.0, ..., penultimate."""

    teacher: str
    """Layer of the teacher: stem, stage1, stage1.0, ..., penultimate."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of the pair in the sum; 0 means that it is neither built nor computed."""

    @field_validator("student", "teacher")
    @classmethod
    def _names_a_layer(cls, name: str) -> str:
        if not _LAYER.fullmatch(name):
            raise InputError(
                f"must be stem, penultimate, a stage such as stage3 (counted from 1) or one of its blocks such as "
                f"stage3.0 (counted from 0); got {shown(name)}"
            )
        return name

    @property
    def name(self) -> str:
        """Name of the pair's term: ``stage1``, or ``stage1-stage3_0`` if the layers' names differ."""
        names = (self.student,) if self.student == self.teacher else (self.student, self.teacher)
        return "-".join(names).replace(".", "_")


def is_block(layer: str) -> bool:
    """Return whether a layer is a stage's, and so has blocks."""
    return layer.startswith("stage")


@overload
def blocks_of(network: Activations, layer: str) -> tuple[Tensor, ...]: ...
@overload
def blocks_of(network: Shapes, layer: str) -> tuple[torch.Size, ...]: ...
def blocks_of(network: Activations | Shapes, layer: str) -> tuple[Tensor | torch.Size, ...]:
    """Return the maps or vectors that a layer's name stands for: all blocks of a stage alone, else one.

    Raises:
        ValueError: If the network has no such layer.
    """
    if layer == "stem":
        return (network.stem,)
    if layer == "penultimate":
        return (network.penultimate,)
    stage, _, block = layer.removeprefix("stage").partition(".")
    chosen = network.stages[int(stage) - 1] if int(stage) <= len(network.stages) else ()
    if block:
        chosen = chosen[int(block) : int(block) + 1]
    if not chosen:
        counts = ", ".join(str(len(blocks)) for blocks in network.stages)
        raise InputError(f"has no {layer}; its stages have {counts} blocks")
    return chosen
