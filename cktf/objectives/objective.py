"""The interface that all objectives share, so that the training loop names no method.

A method needs four things: its settings (``Config``), ``needs_teacher``, ``term_weights`` and ``forward``. All else of
`Objective` has a default.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field, Tag, model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Layers, Reading, Shapes
from cktf.errors import InputError, shown
from cktf.objectives.schedules import SCHEDULED, Ramp, largest
from cktf.settings import Epochs, Settings

_NotNegative = Annotated[float, Field(ge=0)]

Factor = Annotated[Annotated[_NotNegative, Tag("number")] | Annotated[Ramp[_NotNegative], Tag("schedule")], SCHEDULED]
"""Factor of a term in the sum: a number, or a schedule over the epochs. If never above 0, it leaves the term out."""

_WEIGHT = (
    "Factor of this objective in the sum; 0 means that it is never built or computed. A number, or one that changes "
    "over shares of the epochs, such as {from: 0, to: 1, over: [0, 0.1]}."
)
Weight = Annotated[Factor, Field(description=_WEIGHT)]
"""Type of `ObjectiveSettings.weight`, for methods whose published weight is not 1."""


class ObjectiveSettings(Settings):
    """Settings that every objective has."""

    weight: Weight = 1.0

    @property
    def factors(self) -> dict[str, float | Ramp[float]]:
        """Factors of the method's terms in the settings, by name; empty if it has none."""
        return {}

    @property
    def computed(self) -> dict[str, float | Ramp[float]]:
        """Those `factors` that are ever above 0: only their terms have a part in the sum."""
        return {name: factor for name, factor in self.factors.items() if largest(factor) > 0}

    @property
    def active(self) -> bool:
        """Whether the objective has any part in the sum."""
        return largest(self.weight) > 0 and (not self.factors or bool(self.computed))

    @property
    def reads_classes(self) -> bool:
        """Whether the settings make the method read classes, even if `Objective.needs_labels` is false."""
        return False

    @property
    def phase_epochs(self) -> int:
        """Epochs of the method's initial phase; 0 for a method without one."""
        return 0


class TwoPhaseSettings(ObjectiveSettings):
    """Settings of a method with an initial phase."""

    initial_epochs: Epochs = 30
    """Passes over the training samples in the method's initial phase, before the student's `epochs`."""

    initial_learning_rate: float | None = Field(default=None, gt=0)
    """Learning rate of the initial phase, constant; None: the trial's own `optimizer.learning_rate`."""

    @property
    def phase_epochs(self) -> int:
        return self.initial_epochs


class InitialOnlySettings(TwoPhaseSettings):
    """Settings of a method that ends with its initial phase; its ``weight`` is 0 or the default.

    Its terms are minimised alone, so two arms with other weights would train the same.
    """

    @model_validator(mode="after")
    def _weight_acts(self) -> Self:
        default = type(self).model_fields["weight"].default
        if self.weight not in (0, default):
            raise InputError(
                f"weight: nothing else is minimised in the method's initial phase, so every weight above 0 trains the "
                f"same; choose {default:g}, or 0 to leave it out; got {shown(self.model_dump()['weight'])}"
            )
        return self


@dataclass(frozen=True)
class BuildContext:
    """The networks, labels and seed that an objective is built for.

    Attributes:
        student: Shapes of the student's activations, without the batch: ``penultimate`` is (channels,).
        teacher: Shapes of the teacher's activations; the student's own if no objective needs a teacher.
        labels: (num_samples,), int64, CPU: labels of the training samples, addressed by `Batch.index`.
        seed: The replicate's seed.
        student_layers: The student's layers whose parameters can be read. They must not become modules of the
            objective: they are trained, and stored, with the student.
        teacher_layers: The teacher's layers, likewise; frozen, on the teacher's device.
    """

    student: Shapes
    teacher: Shapes
    labels: Tensor
    seed: int
    student_layers: Layers = field(default_factory=Layers)
    teacher_layers: Layers = field(default_factory=Layers)

    @property
    def num_samples(self) -> int:
        """Number of training samples."""
        return len(self.labels)


class InitialPhase(nn.Module, ABC):
    """A training phase of a method before the student's own; its parameters are constants afterwards.

    Like an `Objective` it is built on the CPU, and everything it trains is in the state dict.

    Attributes:
        learning_rate: Constant learning rate; None: the trial's own.
        trains_student: Whether the student is trained too, up to its last stage. If not, it does not run, and
            ``forward`` must not read it.
        term_weights: Factor of each term; the objective's ``weight`` does not multiply them.
    """

    trains_student: bool
    reads_preactivations: bool = False
    term_weights: dict[str, float]

    def __init__(self, config: TwoPhaseSettings) -> None:
        super().__init__()
        self.epochs = config.phase_epochs
        self.learning_rate = config.initial_learning_rate

    @abstractmethod
    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the named, unweighted, scalar terms that this phase minimises."""


class Objective(nn.Module, ABC):
    """One method of knowledge transfer, built as ``Method(config, context)``.

    Parameters and buffers are made on the CPU. Those that training changes (heads, banks, Z) are in the state dict.

    Attributes:
        Config: Class of the method's settings.
        needs_teacher: Whether the method reads the teacher. If not, ``forward`` may get activations without values.
        term_weights: The method's own factor of each term that `forward` returns (the paper's beta and theta), a number
            or a schedule. The objective's ``weight`` multiplies them all, in `WeightedSum` and nowhere else.
        needs_labels: Whether the labels must be classes; other methods only read which samples have equal labels.
        takes_mixed: Whether the method can train on images mixed of two samples each, as by mixup, and then weighs
            both labels. None: it can if it needs no labels. False for a method that stores something of each sample.
        reads_logits: Whether it reads the teacher's logits or classifier, which must then be of the student's classes.
        reads_features: Whether it reads more of the teacher than its logits; a mean of several teachers has no more.
        ends_with_initial: Whether the method has no terms after its initial phase (see `InitialOnly`).
        readings: The few tensors that `forward` reads of the teacher; it is then given `Activations` that hold nothing
            else, so that the teacher's output can be stored. None: it may read anything.
        matched: Names of the student's and teacher's layers that the method compares, if they can be chosen (see
            `contrastive.representations`); their similarity is measured too.
        initial: The phase before the student's own; None for most. A method that has one takes `TwoPhaseSettings`.
    """

    Config: ClassVar[type[ObjectiveSettings]]
    needs_teacher: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    takes_mixed: ClassVar[bool | None] = None
    reads_logits: ClassVar[bool] = True
    reads_features: ClassVar[bool] = True
    ends_with_initial: ClassVar[bool] = False
    term_weights: dict[str, float | Ramp[float]] = {}  # noqa: RUF012  # nothing changes it
    readings: tuple[Reading, ...] | None = None
    matched: tuple[tuple[str, str], ...] = ()
    initial: InitialPhase | None

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.initial = None  # a class attribute would hide a module of this name

    @abstractmethod
    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the named, unweighted, scalar terms of one batch."""

    @classmethod
    def extend_student(cls, config: Any, student: nn.Module, given: BuildContext) -> nn.Module:  # noqa: ARG003
        """Return the network that is trained, evaluated and stored as the student; by default it is ``student``.

        A method that adds layers which the trained student needs too (SimKD's projector and the teacher's classifier)
        returns a network around ``student``, which is not copied. All objectives are built for that network.
        """
        return student

    def draws(self, batch: Batch) -> Mapping[Any, Tensor]:
        """Return the random numbers of a training batch, by the part that would otherwise draw them in ``forward``.

        A step that is replayed as a CUDA graph reads them as ``batch.drawn``. A method that draws them in ``forward``,
        addressed by ``batch.step``, is correct too, but its steps are not replayed.
        """
        return {}

    def is_fused(self, device: torch.device) -> bool:
        """Return whether a fused kernel takes a part of the method's work on a device."""
        return False

    def health(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Return diagnostics on a batch of the validation split: scalars by part (such as a bank) and measure.

        Called without gradients and in eval mode, in some epochs or in none: so it must change no state, and draw only
        addressed random numbers. ``batch.index`` addresses none of the training samples.
        """
        return {}


class FeatureObjective(Objective):
    """A method that reads features of the teacher and not its logits, so the teacher may have other classes."""

    reads_logits = False


class InitialOnly(Objective):
    """A method that ends with its initial phase: it has no terms in the student's own training.

    A subclass sets ``initial`` and takes `InitialOnlySettings`.
    """

    ends_with_initial = True
    readings = ()

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        return {}
