"""The phases of a trial's training: initial ones of its methods, the student's own, and the probe of a transfer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from cktf.batch import Activations, Batch, Reading
from cktf.data import AugmentationConfig, Samples, TrainLoader
from cktf.objectives import WeightedSum, active_objectives
from cktf.seeding import derive
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import World
from cktf.trainer.initial_student import InitialStudent
from cktf.trainer.optimizer import OptimizerConfig
from cktf.trainer.probe import Probe, classification_loss

MAIN = {"distill": "train", "transfer": "transfer"}
"""Task to the name of the phase that every trial of it has: the one of all objectives together."""

Loss = Callable[[Activations | None, Activations | None, Batch], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class Phase:
    """One phase: what is learnt from, what is minimised, how, and what moves.

    Attributes:
        name: ``train``, ``transfer`` or ``probe``, or the objective whose own initial phase it is.
        epochs: Passes over the samples.
        samples: What is learnt from.
        augmentation: What is drawn for each sample.
        batch_size: Samples of one step, over all workers together.
        optimizer: Optimiser and schedule over these epochs.
        parameters: What the optimiser moves.
        student: The network that is trained; None where none is, and then it does not run.
        teacher: The frozen network that runs beside it; None where none is read.
        readings: All that is read of the teacher, where that is little; None: it may be anything.
        loss: Student's and teacher's activations and the batch to the sum to minimise and its terms.
        reads_objective: Whether the objectives are minimised; they are of no use after a phase without them.
        is_scored: Whether the student's accuracy is told: its logits are of the labels' classes, and its classifier
            learns, which it does not in an initial phase.
        seed: Keys the order of samples, their augmentation and the networks' own draws.
    """

    name: str
    epochs: int
    samples: Samples
    augmentation: AugmentationConfig
    batch_size: int
    optimizer: OptimizerConfig
    parameters: tuple[nn.Parameter, ...]
    student: nn.Module | None
    teacher: nn.Module | None
    readings: tuple[Reading, ...] | None
    loss: Loss
    reads_objective: bool
    is_scored: bool
    seed: int

    def loader(self, world: World) -> TrainLoader:
        """Return this worker's batches.

        Raises:
            ValueError: If a batch, or all samples, are too few for the workers.
        """
        return TrainLoader(
            self.samples.dataset,
            self.samples.rows,
            self.augmentation,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=world.rank,
            world_size=world.size,
        )


def objective_phases(
    config: TrialConfig,
    student: nn.Module,
    teacher: nn.Module | None,
    objective: WeightedSum,
    samples: Samples,
) -> list[Phase]:
    """Return the phases of a trial's objectives in their order.

    The last one draws the same numbers whether or not others come before it, so that arms stay paired.
    """
    phases = []
    for name, initial in objective.initial_phases.items():
        initial_student = InitialStudent(student, initial) if initial.trains_student else None
        of_student = initial_student.trained if initial_student else ()
        rate = initial.learning_rate or config.optimizer.learning_rate
        phases.append(
            Phase(
                name=name,
                epochs=initial.epochs,
                samples=samples,
                augmentation=config.augmentation,
                batch_size=config.batch_size,
                optimizer=config.optimizer.constant(rate),
                parameters=(*of_student, *initial.parameters()),
                student=initial_student,
                teacher=teacher,
                readings=None,
                loss=partial(objective.initial, name),
                reads_objective=True,
                is_scored=False,
                seed=derive(config.seed, "initial phase", name),
            )
        )
    main = Phase(
        name=MAIN[config.task],
        epochs=config.epochs,
        samples=samples,
        augmentation=config.augmentation,
        batch_size=config.batch_size,
        optimizer=config.optimizer,
        parameters=(*student.parameters(), *objective.main_parameters()),
        student=student,
        teacher=teacher if _reads_teacher_to_the_end(config) else None,
        readings=objective.readings,
        loss=objective,
        reads_objective=True,
        is_scored=config.task == "distill",  # the labels of a transfer are no classes that any network knows
        seed=config.seed,
    )
    return [*phases, main]


def _reads_teacher_to_the_end(config: TrialConfig) -> bool:
    methods = [method for method, _ in active_objectives(config.objective).values()]
    return any(method.needs_teacher and not method.ends_with_initial for method in methods)


def probe_phase(probe: Probe, samples: Samples, seed: int) -> Phase:
    """Return the phase after a transfer, in which labelled samples are learnt from."""
    return Phase(
        name="probe",
        epochs=probe.config.epochs,
        samples=samples,
        augmentation=probe.config.augmentation,
        batch_size=probe.config.batch_size,
        optimizer=probe.config.optimizer,
        parameters=tuple(probe.trained.parameters()),
        student=probe,
        teacher=None,
        readings=None,
        loss=classification_loss,
        reads_objective=False,
        is_scored=True,
        seed=derive(seed, "probe"),
    )


def epochs_of(phases: Sequence[Phase]) -> Iterator[tuple[Phase, int]]:
    """Yield each epoch of a trial: its phase, and its number within the phase, from 1."""
    for phase in phases:
        for epoch in range(1, phase.epochs + 1):
            yield phase, epoch
