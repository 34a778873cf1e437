"""The configuration of one trial: the parts' own settings, put together."""

from functools import cached_property
from typing import Literal, Self

from pydantic import model_validator

from cktf.data import AugmentationConfig, DataConfig
from cktf.errors import InputError
from cktf.models import ModelConfig
from cktf.objectives import ObjectivesConfig, active_objectives, needs_teacher
from cktf.settings import BatchSize, Epochs, Precision, Seed, Settings
from cktf.trainer.identity import identity
from cktf.trainer.optimizer import OptimizerConfig
from cktf.trainer.probe import ProbeConfig
from cktf.trainer.teacher import TeacherConfig


class TrialConfig(Settings):
    """Everything that decides one student's training, the replicate's seed included.

    What does not decide it (where it runs, on how many cores, where files are) stands elsewhere, so that the same
    configuration has the same `trial_id` on every machine.
    """

    task: Literal["distill", "transfer"] = "distill"
    """`distill`: the student learns the teacher's classes from labelled images. `transfer`: it learns from a teacher of
    other classes, on images without labels: the data set's unlabelled ones, or else all of its training part but the
    validation split. Then a new linear layer on it learns the data set's own classes, as `probe` says."""

    data: DataConfig
    """Data set, fractions and splits."""

    source: DataConfig | None = None
    """For `transfer`: the data set that the teacher has learnt, and whose classes it knows."""

    student: ModelConfig
    """The network that learns."""

    teacher: TeacherConfig | None = None
    """The network it learns from; may be left out where no objective needs one."""

    objective: ObjectivesConfig  # made of the registry, so that it lists every objective
    """The objectives and their weights; their weighted sum is minimised."""

    augmentation: AugmentationConfig = AugmentationConfig()
    """What is drawn anew for each sample and epoch."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser and learning-rate schedule, as all settings here of the phase in which the objectives are minimised."""

    epochs: Epochs = 240
    """Passes over the training split, or in a `transfer` over the images without labels; an objective's initial phase
    comes before them."""

    batch_size: BatchSize = 64
    """Samples of one step, over all workers together."""

    probe: ProbeConfig | None = None
    """For `transfer`: how the labelled images of the training split are learnt from; `{}` takes the defaults."""

    precision: Precision = "auto"
    """`bfloat16`: autocast of both networks in training; losses, banks, parameters and what accuracies are counted from
    stay float32. `auto`: on a GPU only."""

    compile: bool = False
    """Compile student and teacher with `torch.compile`."""

    seed: Seed = 0
    """The replicate: split, initial parameters, order, augmentation and negatives follow from it."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self.optimizer.require_fitting(self.epochs)
        objectives = active_objectives(self.objective)
        if not objectives:
            raise InputError("objective: at least one objective must have a weight above 0")
        for name, (method, _) in objectives.items():
            if method.needs_labels and self.task == "transfer":
                raise InputError(
                    f"objective.{name} needs labels, which the images of 'task: transfer' do not have"
                )
            if method.needs_teacher and self.teacher is None:
                raise InputError(f"objective.{name} needs a teacher; name one under 'teacher:'")
        if all(method.ends_with_initial for method, _ in objectives.values()):
            raise InputError(
                f"objective: {' and '.join(objectives)} ends with its initial phase; after it another objective must "
                "go on, such as cross_entropy or, in a transfer, kd"
            )
        return self

    @model_validator(mode="after")
    def _sections_of_the_task(self) -> Self:
        sections = {
            "source": "the data set whose classes the teacher knows",
            "probe": "how the labelled images are learnt from; {} takes the defaults",
        }
        for name, meaning in sections.items():
            is_given = getattr(self, name) is not None
            if self.task == "transfer" and not is_given:
                raise InputError(f"task: transfer needs '{name}:', {meaning}")
            if self.task == "distill" and is_given:
                raise InputError(f"{name}: only 'task: transfer' has it, and this is 'task: distill'")
        if self.source and self.source.train_fraction != 1:
            raise InputError(
                "source.train_fraction: the teacher's share is teacher.train_fraction; set it there"
            )
        return self

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases: the objectives' initial ones, the student's own and the probe's."""
        initial = sum(settings.phase_epochs for _, settings in active_objectives(self.objective).values())
        return initial + self.epochs + (self.probe.epochs if self.probe else 0)

    @property
    def scored_epochs(self) -> int:
        """Epochs after which the accuracy is told: those of the phase that learns the labels' classes."""
        return self.probe.epochs if self.probe else self.epochs

    @property
    def teacher_data(self) -> DataConfig:
        """The data set whose classes the teacher knows."""
        return self.source or self.data

    def runs_teacher(self, *, is_measured: bool) -> bool:
        """Return whether a training runs its teacher: for an objective, or to be measured against it."""
        return self.teacher is not None and (is_measured or needs_teacher(self.objective))

    @property
    def trial_id(self) -> str:
        """Identity of this training: a hash of what differs from the frozen defaults, and of the seed."""
        return identity(self, outside=self._outside, seed=self.seed)

    @cached_property  # asked for again and again while a study is planned
    def arm_id(self) -> str:
        """Identity of the arm: the same without the seed."""
        return identity(self, outside=self._outside)

    @property
    def _outside(self) -> set[str]:
        """Paths that are no part of what differs: the seed, which stands beside it, and where files are.

        Nor is it whether a teacher is taken that does no better than chance. A place does not decide what a student
        learns. But a folder of one's own whose content is not known is known by its place.
        """
        outside = {"seed", "data.download", "source.download", "teacher.accept_any"}
        for name, data in (("data", self.data), ("source", self.source)):
            if data is not None and (data.content is not None or not data.is_own):
                outside.add(f"{name}.root")
        if self.teacher and self.teacher.checkpoint is not None:
            outside.add("teacher.precision")
        if self.teacher and self.teacher.sha256:
            outside.add("teacher.checkpoint")
        return outside

    def precision_on(self, device_type: str) -> Literal["float32", "bfloat16"]:
        """Return the precision of the networks' forward pass on a ``cpu`` or ``cuda`` device."""
        if self.precision == "auto":
            return "bfloat16" if device_type == "cuda" else "float32"
        return self.precision

    def with_seed(self, seed: int) -> Self:
        """Return the same arm at another seed."""
        return self.model_copy(update={"seed": seed})
