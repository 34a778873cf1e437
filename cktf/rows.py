"""The rows of a ledger: the one thing that the half that trains and the half that analyses share.

A ledger is a sequence of JSON lines, each of which is one row; ``kind`` says of which kind, wherever it stands::

    StudyRow    "study"     what is asked and by which code; once for each launch or resume
    PlannedRow  "planned"   a trial that will run: arm, seed, configuration
    TeacherRow  "teacher"   how well a teacher does, before its students' results
    EpochRow    "epoch"     one epoch of one trial
    EndRow      "end"       a trial's end: complete, pruned or failed, and why

Rows are only ever appended. Where a trial has several rows of one epoch or several ends (a worker was lost, a failed
trial was tried again), the last one holds; likewise of a teacher's rows. Nothing stands before the first study row,
and nothing of a trial before its planned row. This module needs the standard library alone.
"""

import json
import math
from dataclasses import MISSING, asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Self

from cktf.errors import InputError, shown
from cktf.row_values import fields_of, json_value

SCHEMA_VERSION = 1
"""Of the rows and of the Parquet tables made of them; raised when a column changes its meaning."""

Scalar = bool | int | float | str | None


class Status(StrEnum):
    """How a trial stands. The first three are ends and stand in an `EndRow`; the others follow from missing rows."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    RUNNING = "running"
    PLANNED = "planned"


class Stage(StrEnum):
    """Why a trial is run. Only ``DESIGN`` and ``CONFIRM`` trials read the test split."""

    DESIGN = "design"
    SEARCH = "search"
    CONFIRM = "confirm"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a ledger. JSON has no NaN and no infinity: they are written as null, and read as missing."""

    kind: ClassVar[str]

    def to_json(self) -> str:
        """Return the row as one line, ``kind`` first, without the newline."""
        values = {"kind": self.kind, **_finite(asdict(self))}
        return json.dumps(values, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a row from a parsed line; keys that this version does not know are dropped.

        A whole number may be written as a float (``1.0``), and a float as a whole number. A float that is null is
        missing: it has its default, or it is NaN.

        Raises:
            ValueError: If a key that has no default is missing, or a value is not of the type of its field.
        """
        known = fields_of(cls)  # type: ignore[arg-type]  # mypy takes no class for hashable
        if missing := [name for name, of in known.items() if of.default is MISSING and name not in values]:
            raise InputError(f"a row of kind {cls.kind!r} without {', '.join(missing)}")
        read = {}
        for name in known.keys() & values.keys():
            of, value = known[name], values[name]
            if value is None and of.default is not MISSING:
                continue
            try:
                read[name] = of.read(value)
            except (TypeError, ValueError) as error:
                wanted = f"{name!r} of a row of kind {cls.kind!r} must be {error}"
                raise InputError(f"{wanted}; got {shown(value)}") from None
        return cls(**read)


@dataclass(frozen=True, kw_only=True)
class StudyRow(Row):
    """What is asked, and by which code: written at every launch and resume.

    Attributes:
        study: Name of the study file without its suffix.
        run: Name of the run directory.
        question: The question the study answers: the first comment line of its file.
        design: ``one_at_a_time``, ``compare``, ``grid``, ... or ``search``.
        metric: Column that decides: ``validation_accuracy``, ...; what a search optimises.
        report_metric: Column that is reported for design and confirm trials: ``test_accuracy``, ...
        maximise: True where larger is better.
        delta: The smallest effect that matters, in the unit of the metrics; None where the study names none.
        baseline_arm_id: The arm that the others are compared with; where there are contexts, the first one's.
        baselines: Context to the arm that the others of this context are compared with.
        factors: Paths in the trial configuration that vary.
        log_factors: Those of them that are searched on a logarithmic scale.
        sampler: Name of Optuna's sampler that chooses the arms of a search; empty where none does, or it is not known.
        pruner: Name of Optuna's pruner that ends bad trials early; empty where none does.
        is_smoke: Whether it is a smoke run, on a few generated images, whose numbers mean nothing.
        teacher_once: Whether trials shared what they read of the teacher, rounded to float16.
        workers: Processes that trained each student together, of which batch-norm saw one's shard alone.
        reference_source: Where the study's reference values were published; empty where it names none.
        reference_values: Context to arm to the published value of the report metric, in its unit.
        reference_teachers: Context to the published value of its teacher.
        git_commit: Of the code, with ``+dirty`` where files were changed; empty outside a checkout.
        versions: Package name to version.
        machine: What the driver ran on, in words.
        command: The command line.
        time: Seconds since the epoch (UTC).
    """

    kind: ClassVar[str] = "study"
    study: str
    run: str
    question: str
    design: str
    metric: str
    report_metric: str
    maximise: bool
    baseline_arm_id: str
    factors: list[str]
    log_factors: list[str] = field(default_factory=list)
    baselines: dict[str, str] = field(default_factory=dict)
    delta: float | None = None
    sampler: str = ""
    pruner: str = ""
    is_smoke: bool = False
    teacher_once: bool = False
    workers: int = 1
    reference_source: str = ""
    reference_values: dict[str, dict[str, float]] = field(default_factory=dict)
    reference_teachers: dict[str, float] = field(default_factory=dict)
    git_commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    command: str = ""
    time: float = 0.0

    def baseline_of(self, context: str) -> str:
        """Return the arm that the others of a context are compared with."""
        return self.baselines.get(context, self.baseline_arm_id)


@dataclass(frozen=True, kw_only=True)
class PlannedRow(Row):
    """A trial that will run.

    Attributes:
        trial_id: Hash of the full configuration, seed included.
        arm_id: Hash of the configuration without the seed.
        arm: The arm's readable name: ``baseline``, ``temperature=0.5``.
        seed: The replicate.
        stage: `Stage`.
        number: Order of planning within the run, from 0.
        params: Factor path to value, for every factor that this arm sets.
        config: The full trial configuration.
        epochs: Epochs it will have, those of all phases; 0 in ledgers that know of one phase alone.
        context: The context it runs in; empty where the study names none.
        teacher_id: Identity of its teacher, which a `TeacherRow` tells more of; under this name a run keeps one that it
            trained. Empty where it has none, and in older ledgers where it was read from a file.
        aliases: The arm's other names: of each that trains like it, ``arm``, its name, and ``params``, what it sets.
    """

    kind: ClassVar[str] = "planned"
    trial_id: str
    arm_id: str
    arm: str
    seed: int
    stage: str = field(metadata={"allowed": tuple(Stage)})
    number: int
    params: dict[str, Any]
    config: dict[str, Any]
    epochs: int = 0
    context: str = ""
    teacher_id: str = ""
    aliases: list[dict[str, Any]] = field(default_factory=list)
    time: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TeacherRow(Row):
    """How well a teacher does on a validation split of the data set whose classes it knows.

    Attributes:
        teacher_id: Its identity, as in `PlannedRow`.
        model: Name of its network.
        data: Name of the data set whose classes it knows.
        origin: `TRAINED_HERE`, or the file that it was read from.
        sha256: Of the file's bytes; empty where it was trained here.
        validation_accuracy: Top-1, per cent.
        validation_loss: Cross-entropy, mean; None where it is not finite.
        validation_images: Images of the split; None, as the next two, where a teacher was trained by a version that
            did not count them.
        num_classes: Classes of the data set.
        chance: Per cent of the split that are of its largest class: what is reached without looking at an image.
        seed: The replicate whose validation split it is; None where the teacher was trained, which is scored on the
            split of its own training.
        test_accuracy: Top-1, per cent, at the end of its own training; None, as the next, where it is from a file.
        test_loss: Cross-entropy, mean.
        time: Seconds since the epoch (UTC).
    """

    kind: ClassVar[str] = "teacher"
    teacher_id: str
    model: str
    data: str
    origin: str
    sha256: str = ""
    validation_accuracy: float
    validation_loss: float | None
    validation_images: int | None = None
    num_classes: int | None = None
    chance: float | None = None
    seed: int | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    time: float = 0.0

    @property
    def is_near_chance(self) -> bool:
        """Whether it does not do better than chance, as far as its images can tell.

        That is: no more than `STANDARD_ERRORS` binomial standard errors of chance above it. A teacher that is always
        right is never near chance, however few the images.
        """
        if self.chance is None or not self.validation_images or self.validation_accuracy >= 100:
            return False
        error = math.sqrt(self.chance * (100 - self.chance) / self.validation_images)
        return self.validation_accuracy <= self.chance + STANDARD_ERRORS * error


TRAINED_HERE = "trained here"
"""Origin of a teacher that was trained for the study."""

STANDARD_ERRORS = 3
"""Within so many of chance, a teacher is not known to know anything."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch of training yields.

    Attributes:
        epoch: From 1, counted through all phases.
        phase: ``train``; in a transfer ``transfer``, and after it ``probe``; or the name of the objective whose own
            initial phase it is.
        learning_rate: Of the epoch's last step.
        train_loss: Weighted sum of the objectives, mean over the epoch's samples.
        train_accuracy: Top-1, per cent, on the augmented batches as they were trained on; None, as the next two, in
            a phase that does not train the student, or in which nothing has labels.
        validation_loss: Cross-entropy, mean.
        validation_accuracy: Top-1, per cent.
        test_loss: Cross-entropy, mean; None but at the last epoch of a trial that may read the test split.
        test_accuracy: Top-1, per cent; None likewise.
        test_images: How many images these two are of; None likewise.
        epoch_seconds: Wall time of the epoch, evaluation included.
        samples_per_second: Training samples, evaluation excluded, but not what ``health`` tells of gradients.
        peak_memory_gib: Largest memory so far: on a GPU what the trial allocated; on a CPU what the process, which
            may have trained other trials before, had resident.
        terms: Unweighted value of each objective's terms, ``cktf.stage1`` to value, mean over the epoch.
        health: What was measured of the distillation beside all that, ``agreement``, ``cka.stage1``,
            ``gap.cktf.stage1.teacher``, ... (see `cktf.trainer.health`); empty in an epoch in which it was not.
    """

    epoch: int
    phase: str
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    epoch_seconds: float
    samples_per_second: float
    peak_memory_gib: float
    terms: dict[str, float]
    health: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EpochRow(EpochResult, Row):
    """One epoch of one trial: an `EpochResult` with the trial it belongs to and the time it reached the driver."""

    kind: ClassVar[str] = "epoch"
    trial_id: str
    time: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a row from a parsed line; terms and health that were no numbers are left out."""
        for name in ("terms", "health"):
            if isinstance(numbers := values.get(name), dict):
                known = {key: number for key, number in numbers.items() if number is not None}
                values = {**values, name: known}
        return super().from_dict(values)


@dataclass(frozen=True, kw_only=True)
class EndRow(Row):
    """A trial's end.

    Attributes:
        trial_id: The trial.
        status: `Status`: complete, pruned or failed.
        reason: Why it was pruned or failed, in one line; empty for a complete one.
        epochs: Epochs it has done.
        wall_seconds: Training time of all its epochs, resumed ones counted once.
        device: ``cpu`` or the GPU's name.
        node: Name of the machine that trained it.
    """

    kind: ClassVar[str] = "end"
    trial_id: str
    status: str = field(metadata={"allowed": (Status.COMPLETE, Status.PRUNED, Status.FAILED)})
    reason: str = ""
    epochs: int = 0
    wall_seconds: float = 0.0
    device: str = ""
    node: str = ""
    time: float = 0.0


ROWS: dict[str, type[Row]] = {row.kind: row for row in (StudyRow, PlannedRow, TeacherRow, EpochRow, EndRow)}


def _finite(value: Any) -> Any:
    """Return what JSON can say of a value: None for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(below) for key, below in value.items()}
    return [_finite(below) for below in value] if isinstance(value, list | tuple) else value


def parse_row(line: str | bytes) -> Row:
    """Return the row that one ledger line holds, however another program may have spaced or ordered its JSON.

    Raises:
        ValueError: If the line is no JSON object, its kind is unknown, a key stands twice or is missing, or a value is
            not of the type of its field.
    """
    values = json_value(line)
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in ROWS:
        raise InputError(f"a row of unknown kind {shown(kind)}; known: {', '.join(ROWS)}")
    return ROWS[kind].from_dict(values)


class RowReader:
    """Reads the lines of a ledger in their order, and refuses a row that comes before those that it needs."""

    def __init__(self) -> None:
        self._is_begun = False
        self._planned: set[str] = set()

    def read(self, line: str | bytes, place: str) -> Row:
        """Return the row of the next line.

        Args:
            line: Without its newline.
            place: Where it stands, for messages.

        Raises:
            ValueError: If it is no row, or comes before the first study row, or before its trial's planned row.
        """
        try:
            row = parse_row(line)
            self._check_order(row)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error
        return row

    def _check_order(self, row: Row) -> None:
        if isinstance(row, StudyRow):
            self._is_begun = True
        elif not self._is_begun:
            raise InputError(f"a row of kind {row.kind!r} stands before the first study row")
        elif isinstance(row, PlannedRow):
            self._planned.add(row.trial_id)
        elif isinstance(row, EpochRow | EndRow) and row.trial_id not in self._planned:
            raise InputError(
                f"a row of kind {row.kind!r} tells of trial {row.trial_id!r}, which no row before it has planned"
            )


def whole_lines(content: bytes) -> list[bytes]:
    """Return the lines of a segment, without what a killed writer left of a last one.

    Other programs may end a file without a newline; a last line that is a row is whole.
    """
    *lines, last = content.split(b"\n")
    return [*lines, last] if is_row(last) else lines


def is_row(line: bytes) -> bool:
    """Return whether a line is a whole row."""
    try:
        parse_row(line)
    except ValueError:
        return False
    return True
