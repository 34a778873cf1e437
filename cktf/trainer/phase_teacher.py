"""The teacher of a phase: the network, run on each batch."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Reading
from cktf.data import TrainLoader
from cktf.trainer.phases import Phase

ReadTeacher = Callable[[Tensor, Batch], Activations]
"""Maps a batch's images, with the channels innermost, and the batch to the teacher's activations."""


class Teacher(Protocol):
    """Source of the teacher's activations in one phase."""

    def epoch(self, epoch: int) -> ReadTeacher:
        """Return the function that gives the activations for batches of one epoch (from 1), without gradients."""


PhaseTeacher = Callable[[Phase, TrainLoader, torch.autocast], Teacher | None]
"""Maps a phase, its batches and the autocast of the teacher's forward to its teacher; None if the phase reads none."""


class LiveTeacher:
    """A teacher network that is run on every batch.

    Args:
        network: The frozen teacher.
        readings: The only values that are read of it; its maps are then freed before the student's forward. None: all
            activations are returned.
    """

    def __init__(self, network: nn.Module, readings: tuple[Reading, ...] | None = None) -> None:
        self.network = network
        self.readings = readings

    def epoch(self, epoch: int) -> ReadTeacher:  # noqa: ARG002
        """Return the network's forward."""
        return self._activations

    @torch.no_grad()
    def _activations(self, images: Tensor, batch: Batch) -> Activations:
        activations: Activations = self.network(images)
        if self.readings is None:
            return activations
        with torch.autocast(images.device.type, enabled=False):  # as objectives compute
            values = {reading.name: reading.compute(activations, batch) for reading in self.readings}
        return Activations.of_readings(values)


def live_teacher(phase: Phase, loader: TrainLoader, autocast: torch.autocast) -> Teacher | None:  # noqa: ARG001
    """Return the live teacher of a phase; None if the phase reads none."""
    return LiveTeacher(phase.teacher, phase.readings) if phase.teacher else None
