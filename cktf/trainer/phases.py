"""The phases of a trial's training: a method's own initial one, if it has one, and then the student's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.objectives import WeightedSum
from cktf.seeding import derive
from cktf.trainer.config import TrialConfig
from cktf.trainer.optimizer import OptimizerConfig

MAIN = "train"
"""Name of the phase that every trial has."""

Loss = Callable[[Activations | None, Activations | None, Batch], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class Phase:
    """One phase: what is minimised, how, and what moves.

    Attributes:
        name: ``train``, or the objective whose own phase it is.
        epochs: Passes over the training split.
        optimizer: Optimiser and schedule over these epochs.
        parameters: What the optimiser moves.
        loss: Student's and teacher's activations and the batch to the sum to minimise and its terms.
        trains_student: Whether the student is trained; where it is not, it does not run.
        seed: Keys the order of samples, their augmentation and the networks' own draws.
    """

    name: str
    epochs: int
    optimizer: OptimizerConfig
    parameters: tuple[nn.Parameter, ...]
    loss: Loss
    trains_student: bool
    seed: int


def plan_phases(config: TrialConfig, student: nn.Module, objective: WeightedSum) -> list[Phase]:
    """Return a trial's phases in their order.

    The last one draws the same numbers whether or not others come before it, so that arms stay paired.
    """
    phases = []
    for name, initial in objective.initial_phases.items():
        of_student = student.parameters() if initial.trains_student else ()
        rate = initial.learning_rate or config.optimizer.learning_rate
        phases.append(
            Phase(
                name=name,
                epochs=initial.epochs,
                optimizer=config.optimizer.constant(rate),
                parameters=(*of_student, *initial.parameters()),
                loss=partial(objective.initial, name),
                trains_student=initial.trains_student,
                seed=derive(config.seed, "initial phase", name),
            )
        )
    main = Phase(
        name=MAIN,
        epochs=config.epochs,
        optimizer=config.optimizer,
        parameters=(*student.parameters(), *objective.main_parameters()),
        loss=objective,
        trains_student=True,
        seed=config.seed,
    )
    return [*phases, main]


def epochs_of(phases: Sequence[Phase]) -> Iterator[tuple[Phase, int]]:
    """Yield each epoch of a trial: its phase, and its number within the phase, from 1."""
    for phase in phases:
        for epoch in range(1, phase.epochs + 1):
            yield phase, epoch
