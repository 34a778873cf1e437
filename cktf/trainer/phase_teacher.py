"""The teacher of a phase as the training loop reads it: the network itself, batch by batch."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Reading
from cktf.data import TrainLoader
from cktf.trainer.phases import Phase

ReadTeacher = Callable[[Tensor, Batch], Activations]
"""Images in the networks' order of memory, and their batch, to the teacher's activations."""


class Teacher(Protocol):
    """What tells a phase the teacher's activations."""

    def epoch(self, epoch: int) -> ReadTeacher:
        """Return what gives the activations of the batches of one epoch, from 1, without gradients."""


PhaseTeacher = Callable[[Phase, TrainLoader, torch.autocast], Teacher | None]
"""A phase, its batches and the precision of the teacher's forward to the phase's teacher; None where it reads none."""


class LiveTeacher:
    """The network itself.

    Args:
        network: The frozen teacher.
        readings: All that is read of it, and so all that is kept of a batch: its maps are free again before the
            student makes its own. None keeps everything.
    """

    def __init__(self, network: nn.Module, readings: tuple[Reading, ...] | None = None) -> None:
        self.network = network
        self.readings = readings

    def epoch(self, epoch: int) -> ReadTeacher:  # noqa: ARG002  # it is the same in all
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
    """Return a phase's teacher as the network itself; None where the phase reads none."""
    return LiveTeacher(phase.teacher, phase.readings) if phase.teacher else None
