"""The configuration of one trial, composed of the settings of its parts."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator

from cktf.data import AugmentationConfig, DataConfig
from cktf.errors import InputError, shown
from cktf.models import ModelConfig
from cktf.objectives import ObjectivesConfig, active_objectives, needs_teacher
from cktf.plugins import ORIGINS, code_of
from cktf.seeding import derive
from cktf.settings import BatchSize, Epochs, Precision, Seed, Settings
from cktf.trainer.identity import differing, identity
from cktf.trainer.optimizer import OptimizerConfig
from cktf.trainer.probe import ProbeConfig
from cktf.trainer.teacher import TeacherConfig


class TrialConfig(Settings):
    """Everything that determines the training of one student, its seed included.

    Where and how it runs is not part of it (see `TrainOptions`).
    """

    task: Literal["distill", "transfer"] = "distill"
    """`distill`: the student learns the teacher's classes from labelled images. `transfer`: it learns from a teacher of
    other classes on images without labels (the data set's unlabelled images, else its training part without the
    validation split); then a new linear layer learns the data set's classes, as `probe` says."""

    data: DataConfig
    """Data set, fractions and splits."""

    source: DataConfig | None = None
    """Data set that the teacher was trained on: for a `transfer`, and for `distill` if only its features are read."""

    student: ModelConfig
    """The student network."""

    teacher: TeacherConfig | None = None
    """The teacher; optional if no objective needs one."""

    teachers: dict[str, TeacherConfig] | None = None
    """Two teachers or more by name, in place of `teacher`; in a partial configuration null leaves one of them out."""

    teachers_as: Literal["mean", "drawn"] = "mean"
    """Use of `teachers`. `mean`: every trial learns from the mean of their logits. `drawn`: from one of them, drawn by
    the trial's seed; arms whose teachers have the same names have the same one at each seed."""

    objective: ObjectivesConfig  # built from the registry
    """The objectives and their weights; their weighted sum is minimised."""

    augmentation: AugmentationConfig = AugmentationConfig()
    """Random augmentation of each sample in each epoch."""

    teacher_view: Literal["same", "own"] = "same"
    """Whether the teacher sees the student's augmented images, or the same samples under draws of its `own` (Beyer et
    al., CVPR 2022, arXiv 2106.05237, section 3); mixed images are mixed alike."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer and schedule of the main phase, the one that minimises all objectives together."""

    epochs: Epochs = 240
    """Epochs of the main phase: passes over the training split or, in a `transfer`, over the images without labels.
    Initial phases of objectives come before it."""

    stop_after: int | None = Field(default=None, ge=1)
    """Epoch after which the main phase is stopped, with the schedules of all `epochs`, the objectives' too; None: it
    runs them all."""

    batch_size: BatchSize = 64
    """Samples of a batch, over all workers together."""

    ema: float | None = Field(default=None, gt=0, lt=1)
    """Share of the old value that each step of the main phase leaves in an exponential moving average of the student's
    parameters and buffers (Tarvainen and Valpola, NIPS 2017, arXiv 1703.01780), such as 0.999. The average is
    evaluated beside the student. None: there is none."""

    judge: Literal["student", "ema"] = "student"
    """Network whose accuracies are those of the trial, and whose weights are stored: the student, or its `ema`."""

    probe: ProbeConfig | None = None
    """For `transfer`: training on the labelled images of the training split; `{}` takes the defaults."""

    precision: Precision = "auto"
    """`bfloat16`: autocast of both networks in training; losses, banks, parameters and evaluation stay float32.
    `auto`: on a GPU that computes in it, as those since Ampere do. On a CPU, some of PyTorch's gradients in `bfloat16`
    hold arbitrary numbers (2.15: those of a convolution with a stride on a map of one pixel, where it meets padding
    alone), by which clipping, health and stored weights are wrong."""

    compile: bool = False
    """Compile student and teacher with `torch.compile`."""

    sync_batch_norm: bool = False
    """With several workers: normalise by the mean and variance of the whole batch instead of each worker's share of it,
    at one exchange a layer and pass. Then the number of workers changes no result but by rounding, unless each worker
    draws for itself (negatives of source `sampled`, dropout), or an epoch's last batch is left out because it has fewer
    than two samples for each."""

    seed: Seed = 0
    """Seed of the replicate: it determines split, initial parameters, order, augmentation and negatives."""

    @field_validator("teachers", mode="before")
    @classmethod
    def _without_left_out(cls, given: Any) -> Any:
        is_mapping = isinstance(given, Mapping)
        return {name: each for name, each in given.items() if each is not None} if is_mapping else given

    @model_validator(mode="after")
    def _teachers_fit(self) -> Self:
        if self.teachers is None:
            if self.teachers_as != "mean":
                raise InputError(f"teachers_as: {self.teachers_as} is of several, and 'teachers:' is not set")
            return self
        if self.teacher is not None:
            raise InputError("teachers: stand in place of 'teacher:', which is set; leave one of both out, by null")
        if len(self.teachers) < 2:
            raise InputError(f"teachers: must be two or more, a single one is 'teacher:'; got {len(self.teachers)}")
        if wrong := [name for name in self.teachers if not re.fullmatch(r"[\w-]+", name)]:
            raise InputError(f"teachers: a name is of letters, digits, '-' and '_'; got {shown(wrong[0])}")
        return self

    @model_validator(mode="after")
    def _objectives_fit(self) -> Self:
        objectives = active_objectives(self.objective)
        if not objectives:
            raise InputError("objective: at least one objective must have a weight above 0")
        if all(method.ends_with_initial for method, _ in objectives.values()):
            names = " and ".join(objectives)
            raise InputError(f"objective: {names} ends with its initial phase; after it another must go on, such as kd")
        mixing = [key for key in ("mixup", "cutmix") if getattr(self.augmentation, key)]
        for name, (method, settings) in objectives.items():
            if (method.needs_labels or settings.reads_classes) and self.task == "transfer":
                raise InputError(f"objective.{name} needs labels, which the images of 'task: transfer' do not have")
            if method.needs_teacher and not self.teachers_by_key:
                raise InputError(f"objective.{name} needs a teacher; name one under 'teacher:'")
            if method.needs_teacher and method.reads_features and self.teachers and self.teachers_as == "mean":
                raise InputError(
                    f"teachers_as: mean has no features but the mean of logits, and objective.{name} reads others; "
                    "only objectives that read logits alone go with it, such as kd, dkd and dist; choose them, or drawn"
                )
            if method.needs_teacher and method.reads_logits and self.has_other_classes:
                of_files = (f"{key}.classes" for key, each in self.teachers_by_key.items() if each.classes is not None)
                raise InputError(
                    f"{'source' if self.source else next(of_files)}: the teacher's classes are not the student's, "
                    f"and objective.{name} reads its logits; only objectives that read features go with it"
                )
            takes_mixed = not method.needs_labels if method.takes_mixed is None else method.takes_mixed
            if self.augmentation.mixes and not takes_mixed:
                raise InputError(
                    f"objective.{name} takes each image for one sample of one class, and augmentation."
                    f"{' and '.join(mixing)} mixes two; leave one of them out by 0"
                )
        return self

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        self.optimizer.require_fitting(self.epochs, has_heads=True)
        if self.main_epochs > self.epochs:
            raise InputError(
                f"stop_after: must be {self.epochs} or less, the epochs of the main phase; got {self.stop_after}"
            )
        if self.compile and self.sync_batch_norm:
            raise InputError("sync_batch_norm: true and 'compile: true' exclude each other; leave one out")
        if self.judge == "ema" and self.ema is None:
            raise InputError("judge: ema is an average of the student, and 'ema:' is not set, for example to 0.999")
        if self.task == "transfer":
            if self.ema is not None:
                raise InputError("ema: in 'task: transfer' a probe is judged, which has no average; leave it out")
            if self.source is None:
                raise InputError("task: transfer needs 'source:', the data set whose classes the teacher knows")
            if self.probe is None:
                raise InputError("task: transfer needs 'probe:', how the labelled images are learnt from; {} will do")
        elif self.probe is not None:
            raise InputError("probe: only 'task: transfer' has it, and this is 'task: distill'")
        if self.has_other_classes and not self.teachers_by_key:
            raise InputError("source: is the data set of a teacher, and there is none")
        if self.source and (self.source.train_fraction != 1 or self.source.per_class is not None):
            name = "train_fraction" if self.source.train_fraction != 1 else "per_class"
            raise InputError(f"source.{name}: the teacher's share is teacher.train_fraction; set it there")
        return self

    @property
    def has_other_classes(self) -> bool:
        """Whether the teacher's classes are not those that the student learns."""
        of_checkpoint = (teacher.classes is not None for teacher in self.teachers_by_key.values())
        return self.task == "distill" and (self.source is not None or any(of_checkpoint))

    @property
    def main_epochs(self) -> int:
        """Epochs of the main phase that are trained."""
        return self.stop_after or self.epochs

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases: initial phases, main phase and probe."""
        initial = sum(settings.phase_epochs for _, settings in active_objectives(self.objective).values())
        return initial + self.main_epochs + (self.probe.epochs if self.probe else 0)

    @property
    def scored_epochs(self) -> int:
        """Epochs with an accuracy: those of the phase that learns the labels' classes."""
        return self.probe.epochs if self.probe else self.main_epochs

    @property
    def teacher_data(self) -> DataConfig:
        """The data set that the teacher was trained on."""
        return self.source or self.data

    @property
    def teachers_by_key(self) -> dict[str, TeacherConfig]:
        """Key in the configuration to the teacher there: the one teacher, or all in the order of their names."""
        if self.teachers:
            return {f"teachers.{name}": self.teachers[name] for name in sorted(self.teachers)}
        return {"teacher": self.teacher} if self.teacher else {}

    @property
    def read_teachers(self) -> dict[str, TeacherConfig]:
        """Those of `teachers_by_key` that this trial learns from: all, or the one that is drawn for its seed."""
        found = self.teachers_by_key
        if self.teachers_as == "drawn":
            key = [*found][derive(self.seed, "teacher of a trial") % len(found)]
            return {key: found[key]}
        return found

    def with_teacher(self, teacher: TeacherConfig) -> Self:
        """Return the same trial with one teacher alone."""
        return self.model_copy(update={"teacher": teacher, "teachers": None, "teachers_as": "mean"})

    def runs_teacher(self, *, is_measured: bool) -> bool:
        """Return whether a training runs its teacher, for an objective or to measure its health."""
        return bool(self.teachers_by_key) and (is_measured or needs_teacher(self.objective))

    @cached_property  # as the arm's, read very often while a study is planned
    def trial_id(self) -> str:
        """Identity of this training: a hash of its settings that differ from the frozen defaults, and of the seed."""
        return identity(self, outside=self.outside, seed=self.seed, **self._beside)

    @cached_property
    def arm_id(self) -> str:
        """Identity of the arm: a `trial_id` without the seed."""
        return identity(self, outside=self.outside, **self._beside)

    @property
    def _beside(self) -> dict[str, Any]:
        """Parts of the identity beside the settings: versions of plug-ins, and settings that differ in each teacher."""
        of_teachers = {}
        for name, teacher in (self.teachers or {}).items():
            alone = self.with_teacher(teacher)
            found = differing(alone, outside=alone.outside).items()
            of_teachers[name] = {path: value for path, value in found if path.startswith("teacher.")}
        return code_of(self.parts) | ({"teachers": of_teachers} if of_teachers else {})

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Kind (see `cktf.plugins.KINDS`) and name of every part of this trial that a plug-in may provide."""
        changes = [self.augmentation, *([self.probe.augmentation] if self.probe else [])]
        return [
            ("MODELS", self.student.model),
            ("DATASETS", self.data.name),
            *(("OBJECTIVES", name) for name in _sections(self.objective)),
            *(("AUGMENTATIONS", name) for change in changes for name in _sections(change)),
            *self.teacher_parts,
        ]

    @property
    def teacher_parts(self) -> list[tuple[str, str]]:
        """Those of `parts` that the teacher is made of."""
        models = [("MODELS", teacher.model) for teacher in self.teachers_by_key.values()]
        return [*models, ("DATASETS", self.teacher_data.name)] if models else []

    @property
    def outside(self) -> set[str]:
        """Paths of settings outside the identity: seed, places of files with known content, settings without effect."""
        outside = {"seed", "teacher.accept_any", "teachers"}
        for name, data in (("data", self.data), ("source", self.source)):
            outside |= {f"{name}.download", f"{name}.test_classes"}
            if data and (data.content is not None or not (data.is_own or ("DATASETS", data.name) in ORIGINS)):
                outside.add(f"{name}.root")
        if self.teacher and self.teacher.checkpoint is not None:
            outside.add("teacher.precision")
        if self.teacher and self.teacher.sha256:
            outside.add("teacher.checkpoint")
        for name, network in (("student", self.student), ("teacher", self.teacher)):
            if network and network.weights_sha256:
                outside.add(f"{name}.weights")
        return outside

    def precision_on(self, device_type: str) -> Literal["float32", "bfloat16"]:
        """Return the precision of the networks' forward pass on a ``cpu`` or ``cuda`` device."""
        if self.precision == "auto":
            is_fast = device_type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            return "bfloat16" if is_fast else "float32"
        return self.precision

    def with_seed(self, seed: int) -> Self:
        """Return the same arm at another seed."""
        return self.model_copy(update={"seed": seed})


def _sections(settings: Settings) -> list[str]:
    """Return the names of the settings that have a value."""
    return [name for name in type(settings).model_fields if getattr(settings, name, None) is not None]
