"""The contract that every objective keeps, so that neither loop nor set-up names a method."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Reading, Shapes
from cktf.errors import InputError
from cktf.settings import Epochs, Settings


class ObjectiveSettings(Settings):
    """What every objective's settings have."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of this objective in the sum; 0 means that it is never built or computed."""

    @property
    def active(self) -> bool:
        """Whether the objective has any part in the sum."""
        return self.weight > 0

    @property
    def phase_epochs(self) -> int:
        """Epochs of the method's own phase, before the student's; 0 for a method without one."""
        return 0


class TwoPhaseSettings(ObjectiveSettings):
    """What the settings of a method with an initial phase have besides."""

    initial_epochs: Epochs = 30
    """Passes over the samples that are learnt from in the method's own phase, before the student's `epochs`."""

    initial_learning_rate: float | None = Field(default=None, gt=0)
    """Of the initial phase, constant; None: the trial's own `optimizer.learning_rate`."""

    @property
    def phase_epochs(self) -> int:
        """Epochs of the method's own phase."""
        return self.initial_epochs


class InitialOnlySettings(TwoPhaseSettings):
    """What the settings of a method have that ends with its initial phase.

    In that phase its terms are minimised alone, so any ``weight`` above 0 would train the same: two arms that
    differ in it would be one arm under two names.
    """

    @model_validator(mode="after")
    def _weight_acts(self) -> Self:
        default = type(self).model_fields["weight"].default
        if self.weight not in (0, default):
            raise InputError(
                f"weight: the method ends with its initial phase, in which nothing is weighed against it, so every "
                f"weight above 0 trains the same; choose {default:g}, or 0 to leave it out; got {self.weight:g}"
            )
        return self


@dataclass(frozen=True)
class Given:
    """What objectives are built for.

    Attributes:
        student: Shapes of the student's activations.
        teacher: Shapes of the teacher's activations; the student's own where no objective needs a teacher.
        labels: (num_samples,), int64, CPU: of the samples that are learnt from, addressed by `Batch.index`.
        seed: The replicate's seed; heads, banks and negatives draw from generators derived of it.
    """

    student: Shapes
    teacher: Shapes
    labels: Tensor
    seed: int

    @property
    def num_samples(self) -> int:
        """How many samples are learnt from."""
        return len(self.labels)


class InitialPhase(nn.Module, ABC):
    """Training that a method does before the student's own.

    Its parameters are trained in this phase and are constants afterwards. Like an `Objective` it is built on the
    CPU, and all that it trains is in the state dict.

    Args:
        config: The method's settings.

    Attributes:
        epochs: Passes over the samples that are learnt from.
        learning_rate: Constant; None: the trial's own.
        trains_student: Whether the student is trained with it, up to its last stage. Where it is not, ``forward`` is
            given no student.
        reads_preactivations: Whether the student's preactivations are read.
        term_weights: As of an `Objective`; its ``weight`` does not multiply them.
    """

    trains_student: bool
    reads_preactivations: bool = False
    term_weights: dict[str, float]

    def __init__(self, config: TwoPhaseSettings) -> None:
        super().__init__()
        self.epochs = config.phase_epochs
        self.learning_rate = config.initial_learning_rate

    @abstractmethod
    def forward(
        self, student: Activations | None, teacher: Activations | None, batch: Batch
    ) -> dict[str, Tensor]:
        """Return the named, unweighted, scalar terms that this phase minimises."""


class Objective(nn.Module, ABC):
    """One method of knowledge transfer.

    A subclass names its settings in ``Config`` and is built alike: ``Method(config, given)``. Parameters
    and buffers are made on the CPU, and every one that training moves (heads, banks, Z) is in the state dict,
    so that a checkpoint holds them.

    Attributes:
        term_weights: The method's own factor for each term that `forward` returns (the paper's beta and
            theta); the objective's ``weight`` multiplies them all. Applied in `cktf.objectives.weighted_sum`,
            nowhere else.
        readings: All that `forward` reads of the teacher, where that is little: then it is content with
            `Activations` of which nothing else is left. None: it may read anything, and the teacher has to run.
        health_readings: All that `health` reads of the teacher, likewise.
        matched: Layers of student and teacher that the method compares, by name (see `parts.layers`), where it lets
            them be chosen; their likeness is measured beside that of layers of equal depth.
        initial: The method's own phase before the student's; None for most. Methods that have one take
            `TwoPhaseSettings`.
        ends_with_initial: Whether the method has no terms after it, so that another objective must go on. Such a
            method takes `InitialOnlySettings`.
        needs_labels: Whether the method reads classes; others only tell samples of one label from the rest.
    """

    Config: ClassVar[type[ObjectiveSettings]]
    needs_teacher: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    ends_with_initial: ClassVar[bool] = False
    readings: tuple[Reading, ...] | None = None
    health_readings: tuple[Reading, ...] | None = ()
    matched: tuple[tuple[str, str], ...] = ()
    initial: InitialPhase | None
    term_weights: dict[str, float]

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.initial = None  # not as the class's attribute, which would hide a module of this name

    @abstractmethod
    def forward(self, student: Activations, teacher: Activations | None, batch: Batch) -> dict[str, Tensor]:
        """Return the named, unweighted, scalar terms of one batch.

        ``teacher`` is None only where ``needs_teacher`` is False and no other objective whose terms are in the sum
        needs one.
        """

    def health(
        self,
        student: Activations,
        teacher: Activations | None,
        batch: Batch,
    ) -> dict[str, dict[str, Tensor]]:
        """Return what tells how the method does on samples that it does not learn from; most have nothing to tell.

        Called without gradients, on a batch of the validation split and networks in eval mode. It must move nothing
        and draw no numbers but addressed ones, for it is not called in every epoch, or at all.

        Returns:
            Part of the method (a bank, say) to the name of a number to a scalar. ``batch.index`` addresses none of
            the samples that are learnt from.
        """
        return {}
