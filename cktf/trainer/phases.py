"""The phases of a trial, initial ones, main one and probe of a transfer, and the student and teacher of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Reading
from cktf.data import AugmentationConfig, Samples, TrainLoader
from cktf.models import behind_stages, normalised_again
from cktf.objectives import InitialPhase, WeightedSum, active_objectives
from cktf.seeding import derive
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.optimizer import OptimizerConfig
from cktf.trainer.probe import Probe, classification_loss

MAIN = {"distill": "train", "transfer": "transfer"}
"""Task to the name of its main phase, the one that minimises all objectives together."""

Loss = Callable[[Activations | None, Activations | None, Batch], tuple[Tensor, dict[str, Tensor]]]
"""Maps the student's and the teacher's activations and the batch to the loss and its terms."""


@dataclass(frozen=True)
class Phase:
    """One phase of a training: samples, loss, optimizer and the parameters it updates.

    Attributes:
        name: ``train``, ``transfer``, ``probe``, or the objective whose initial phase it is.
        epochs: Passes over the samples.
        planned_epochs: Passes that the schedule is for; more than ``epochs`` if the phase is stopped early.
        batch_size: Samples per step, over all workers together.
        parameters: Parameters that the optimizer updates.
        heads: Those of ``parameters`` that belong to objectives, and may have a learning rate of their own.
        student: The network that is trained; None if the phase does not run it.
        teacher: The frozen teacher; None if the phase does not read it.
        readings: The only values that are read of the teacher; None if any of its activations may be read.
        loss: Loss function.
        reads_objective: Whether the objectives are minimised; a phase without them needs none of their state.
        is_scored: Whether the student's accuracy is reported.
        seed: Seed of the order of samples, their augmentation and the networks' own draws.
        has_own_view: Whether the teacher sees another view of each sample than the student.
        draws: Returns the random numbers of a batch that the loss would otherwise draw.
    """

    name: str
    epochs: int
    planned_epochs: int
    samples: Samples
    augmentation: AugmentationConfig
    batch_size: int
    optimizer: OptimizerConfig
    parameters: tuple[nn.Parameter, ...]
    student: nn.Module | None
    loss: Loss
    is_scored: bool
    seed: int
    heads: tuple[nn.Parameter, ...] = ()
    teacher: nn.Module | None = None
    readings: tuple[Reading, ...] | None = None
    reads_objective: bool = True
    has_own_view: bool = False
    draws: Callable[[Batch], Mapping[Any, Tensor]] | None = None

    def loader(self, workers: Workers) -> TrainLoader:
        """Return this worker's batches; raise an InputError if a batch, or all samples, are too few for the workers."""
        return TrainLoader(
            self.samples.dataset,
            self.samples.rows,
            self.augmentation,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=workers.rank,
            world_size=workers.size,
            has_own_view=self.has_own_view and self.teacher is not None,
        )


def objective_phases(
    config: TrialConfig, student: nn.Module, teacher: nn.Module | None, objective: WeightedSum, samples: Samples
) -> list[Phase]:
    """Return the initial phases of a trial's objectives and then its main phase.

    The main phase draws the same numbers whether or not others come before it, so that arms stay paired.
    """
    methods = [method for method, _ in active_objectives(config.objective).values()]
    reads_teacher = any(method.needs_teacher and not method.ends_with_initial for method in methods)
    heads = tuple(objective.main_parameters())
    main = Phase(
        name=MAIN[config.task],
        epochs=config.main_epochs,
        planned_epochs=config.epochs,
        samples=samples,
        augmentation=config.augmentation,
        batch_size=config.batch_size,
        optimizer=config.optimizer,
        parameters=(*student.parameters(), *heads),
        heads=heads,
        student=student,
        teacher=teacher if reads_teacher else None,
        readings=objective.readings,
        loss=objective,
        is_scored=config.task == "distill",  # in a transfer no network has the labels' classes
        seed=config.seed,
        has_own_view=config.teacher_view == "own",
        draws=objective.draws,
    )
    phases = []
    for name, initial in objective.initial_phases.items():
        initial_student = InitialStudent(student, initial) if initial.trains_student else None
        phase = replace(
            main,
            name=name,
            epochs=initial.epochs,
            planned_epochs=initial.epochs,
            optimizer=config.optimizer.constant(initial.learning_rate or config.optimizer.learning_rate),
            parameters=(*(initial_student.trained if initial_student else ()), *initial.parameters()),
            heads=(),
            student=initial_student,
            teacher=teacher,
            readings=None,
            loss=partial(objective.initial, name),
            is_scored=False,
            seed=derive(config.seed, "initial phase", name),
            draws=None,
        )
        phases.append(phase)
    return [*phases, main]


def probe_phase(probe: Probe, samples: Samples, seed: int) -> Phase:
    """Return the phase after a transfer, which trains the probe on labelled samples."""
    return Phase(
        name="probe",
        epochs=probe.config.epochs,
        planned_epochs=probe.config.epochs,
        samples=samples,
        augmentation=probe.config.augmentation,
        batch_size=probe.config.batch_size,
        optimizer=probe.config.optimizer,
        parameters=tuple(probe.trained.parameters()),
        student=probe,
        loss=classification_loss,
        reads_objective=False,
        is_scored=True,
        seed=derive(seed, "probe"),
    )


class InitialStudent(nn.Module):
    """A student of which the stages alone are trained, as published for AB and FSP; not copied.

    Layers after the last stage that would be trained are frozen in eval mode (see `behind_stages`).

    If preactivations are read, a wide ResNet's batch-norms run once more for them, as published: in train mode the
    running statistics of the trained ones move twice a step.
    """

    def __init__(self, student: nn.Module, initial: InitialPhase) -> None:
        super().__init__()
        self.student = student
        self.reads_preactivations = initial.reads_preactivations
        self._resting = behind_stages(student)
        resting = {id(parameter) for module in self._resting for parameter in module.parameters()}
        self.trained = [parameter for parameter in student.parameters() if id(parameter) not in resting]

    def forward(self, images: Tensor) -> Activations:
        """Return the student's activations of images (batch, channels, height, width)."""
        activations: Activations = self.student(images)
        return normalised_again(self.student, activations) if self.reads_preactivations else activations

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trained layers; those after the last stage stay in eval mode."""
        super().train(mode)
        for module in self._resting:
            module.eval()
        return self


ReadTeacher = Callable[[Tensor, Batch], Activations]
"""Maps a batch's images, with the channels innermost, and the batch to the teacher's activations."""


class Teacher(Protocol):
    """Source of the teacher's activations in one phase."""

    def epoch(self, epoch: int) -> ReadTeacher:
        """Return the function that gives the activations for batches of one epoch (from 1), without gradients."""


PhaseTeacher = Callable[[Phase, TrainLoader, torch.autocast], Teacher | None]
"""Maps a phase, its batches and the autocast of the teacher's forward to its teacher; None if the phase reads none."""


class LiveTeacher:
    """The frozen teacher, run on every batch; if there are ``readings``, these alone are returned."""

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
