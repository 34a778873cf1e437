"""The rows of a ledger: the one thing that the half that trains and the half that analyses share.

A ledger is a sequence of JSON lines. Each line is one row, and its first key is ``kind``, so that a reader may sort
lines by their first bytes without parsing them::

    StudyRow    "study"     what is asked and by which code; once for each launch or resume
    PlannedRow  "planned"   a trial that will run: arm, seed, configuration
    EpochRow    "epoch"     one epoch of one trial
    EndRow      "end"       a trial's end: complete, pruned or failed, and why

Rows are only ever appended. Where a trial has several rows of one epoch or several ends (a worker was lost, a failed
trial was tried again), the last one holds. This module needs the standard library alone.
"""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Self

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
    """One line of a ledger."""

    kind: ClassVar[str]

    def to_json(self) -> str:
        """Return the row as one line, ``kind`` first, without the newline."""
        return json.dumps({"kind": self.kind, **asdict(self)}, separators=(",", ":"), allow_nan=True)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a row from a parsed line; keys that this version does not know are dropped.

        Raises:
            ValueError: If a key that has no default is missing.
        """
        known, required = _names(cls.kind)
        if missing := [name for name in required if name not in values]:
            raise ValueError(f"ledger row of kind {cls.kind!r} without {', '.join(missing)}")
        if unknown := values.keys() - known:
            values = {key: value for key, value in values.items() if key not in unknown}
        return cls(**values)


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
        teacher_id: Name of its teacher in ``RUN/teachers``; empty where it has none, or one from a file.
    """

    kind: ClassVar[str] = "planned"
    trial_id: str
    arm_id: str
    arm: str
    seed: int
    stage: str
    number: int
    params: dict[str, Any]
    config: dict[str, Any]
    epochs: int = 0
    context: str = ""
    teacher_id: str = ""
    time: float = 0.0


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
    status: str
    reason: str = ""
    epochs: int = 0
    wall_seconds: float = 0.0
    device: str = ""
    node: str = ""
    time: float = 0.0


ROWS: dict[str, type[Row]] = {row.kind: row for row in (StudyRow, PlannedRow, EpochRow, EndRow)}


@cache
def _names(kind: str) -> tuple[frozenset[str], list[str]]:
    """Return the names of a row's fields, and of those that it must have."""
    known = fields(ROWS[kind])
    required = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    return frozenset(f.name for f in known), required


def parse_row(line: str | bytes) -> Row:
    """Return the row that one ledger line holds.

    Raises:
        ValueError: If the line is no JSON object, its kind is unknown, or a key of that kind is missing.
    """
    values = json.loads(line)
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in ROWS:
        raise ValueError(f"ledger row of unknown kind {kind!r}; known: {', '.join(ROWS)}")
    return ROWS[values.pop("kind")].from_dict(values)
