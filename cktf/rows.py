"""The rows of a ledger, which is the interface between training and analysis.

A ledger is a sequence of JSON lines, each of which is one row; the key ``kind`` is its type::

    StudyRow    "study"     the study and the code; once for each launch or resume
    PlannedRow  "planned"   a trial that will run: arm, seed, configuration
    TeacherRow  "teacher"   the accuracy of a teacher, before its students' results
    EpochRow    "epoch"     one epoch of one trial
    EndRow      "end"       a trial's end: complete, pruned or failed, and why
    LookRow     "look"      a look of a race: what is decided, and which arms get no more seeds

Rows are only ever appended; their times are in seconds since the epoch (UTC). If a trial has several rows of one epoch
or several ends (a worker was lost, a failed trial was repeated), the last one holds; likewise for a teacher's rows. A
study row comes first, and a trial's planned row before its other rows.
"""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Self

from cktf.epoch_result import EpochResult
from cktf.row_values import Row as Row

SCHEMA_VERSION = 1
"""Version of the rows and of the Parquet tables; raised when a column changes its meaning."""

FACTS_KEY = b"cktf.facts"
"""Key of the metadata of a report's Parquet tables that holds the facts of the run, as JSON."""

Scalar = bool | int | float | str | None


class Status(StrEnum):
    """Status of a trial. The first three are ends, in an `EndRow`; the others follow from missing rows."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    RUNNING = "running"
    PLANNED = "planned"


class Stage(StrEnum):
    """Stage of a study to which a trial belongs.

    A teacher is trained by a trial of its own before its students, and is no arm. Of the students only those of
    ``DESIGN`` and ``CONFIRM`` read the test split.
    """

    DESIGN = "design"
    SEARCH = "search"
    CONFIRM = "confirm"
    TEACHER = "teacher"


class Alternative(StrEnum):
    """Effects that a study looks for: in either direction, or only better, or only worse ones."""

    TWO_SIDED = "two_sided"
    BETTER = "better"
    WORSE = "worse"


class Family(StrEnum):
    """Comparisons over which Holm's method adjusts p: all of the study, or those of each context."""

    STUDY = "study"
    CONTEXT = "context"


@dataclass(frozen=True, kw_only=True)
class StudyRow(Row):
    """A study and the code that runs it; written at every launch and resume.

    Attributes:
        study: Name of the study file without its suffix.
        run: Name of the run directory.
        question: The question that the study answers: the first comment line of its file.
        design: ``one_at_a_time``, ``compare``, ``grid``, ... or ``search``.
        metric: Column that decides and that a search optimises: ``validation_accuracy``, ...
        report_metric: Column that is reported for design and confirm trials: ``test_accuracy``, ...
        maximise: Whether larger values are better.
        further_metrics: Column of each further metric that a search optimises to whether larger values are better.
        delta: Smallest effect that matters, in the unit of the metrics; None if the study names none.
        contrasts: Pairs of names of arms that are compared; the entry ``["baseline"]`` stands for every arm against the
            baseline. Empty: that entry alone.
        family: `Family`.
        alternative: `Alternative`.
        margin: For a one-sided alternative: by how much an arm must be better (or worse), in the unit of the metrics;
            if below 0, by how much it may be worse (or better).
        is_afterthought: Whether the contrasts were chosen when the report was asked for.
        looks: Numbers of seeds after which a race is judged; empty if the study is no race.
        spending: Spending function of a race (see `cktf.looks.Spending`).
        measures: Name of each further number of a trial that is judged (``test_ece``, ``flops``; see
            `EpochResult.measures`) to whether a larger one is better.
        measure_settings: Measure (``ece``) to its settings, as JSON.
        baseline_arm_id: Id of the arm that the others are compared with; with contexts, the first context's.
        baselines: Context to the id of its baseline's arm.
        factors: Paths in the trial configuration that vary.
        log_factors: Factors that are searched on a logarithmic scale.
        default_levels: Searched factor to its value in the baseline, if that is a single one.
        sampler: Optuna's sampler of a search; empty if there is none or it is not known.
        pruner: Optuna's pruner; empty if there is none.
        is_smoke: Whether it is a smoke run, on a few generated images, whose numbers mean nothing.
        teacher_once: Whether trials shared the teacher's outputs, rounded to float16.
        workers: Number of processes that trained each student together; without ``sync_batch_norm``, batch-norm in each
            saw its own shard.
        stall_seconds: Least number of seconds without an epoch after which a running trial counts as silent; in older
            ledgers the default.
        reference_source: Publication of the reference values; empty if the study has none.
        reference_values: Context to arm to the published value of the report metric, in its unit; or to a list of it,
            its standard deviation and the number of runs.
        reference_teachers: Context to the published value of its teacher.
        git_commit: Commit of the code, with ``+dirty`` if files were changed; empty outside a checkout.
        versions: Package name to version.
        plugins: Plug-in name to the version of its code (see `cktf.plugins.Plugin`).
        seeds_by_context: Whether each context has seeds of its own.
        asked: Key of the study to the SHA-256 of its value, if results depend on it, and ``study.yaml`` to that of the
            file; empty in older ledgers.
        added: What was added to the study before this launch, in words; empty where nothing was.
        warm_start: At the launch of a search that learns from another run: ``run``, ``observations`` (``params`` and
            ``scores`` of each arm that is taken, a score for each metric), ``left_out`` (reason to number of arms) and
            ``differing`` (path of another setting that differs to number of arms).
        renamed: Arm id to the arm's name and other names (``arm``, ``aliases``), if these differ from its planned rows'
            because the study has grown.
        machine: Description of the driver's machine.
        command: The command line.
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
    contrasts: list[list[str]] = field(default_factory=list)
    family: str = field(default=Family.STUDY, metadata={"allowed": tuple(Family)})
    alternative: str = field(default=Alternative.TWO_SIDED, metadata={"allowed": tuple(Alternative)})
    margin: float = 0.0
    is_afterthought: bool = False
    looks: list[int] = field(default_factory=list)
    spending: str = ""
    further_metrics: dict[str, bool] = field(default_factory=dict)
    measures: dict[str, bool] = field(default_factory=dict)
    measure_settings: dict[str, str] = field(default_factory=dict)
    default_levels: dict[str, Scalar] = field(default_factory=dict)
    sampler: str = ""
    pruner: str = ""
    is_smoke: bool = False
    teacher_once: bool = False
    workers: int = 1
    stall_seconds: float = 600.0
    reference_source: str = ""
    reference_values: dict[str, dict[str, float | list[float]]] = field(default_factory=dict)
    reference_teachers: dict[str, float] = field(default_factory=dict)
    git_commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)
    seeds_by_context: bool = False
    asked: dict[str, str] = field(default_factory=dict)
    added: str = ""
    warm_start: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, dict[str, Any]] = field(default_factory=dict)
    machine: str = ""
    command: str = ""
    time: float = 0.0

    @property
    def directions(self) -> dict[str, bool]:
        """Column of each metric that decides, the main one first, to whether larger values are better."""
        return {self.metric: self.maximise} | self.further_metrics

    def baseline_of(self, context: str) -> str:
        """Return the baseline's arm in a context."""
        return self.baselines.get(context, self.baseline_arm_id)


@dataclass(frozen=True, kw_only=True)
class PlannedRow(Row):
    """A planned trial.

    Attributes:
        trial_id: Hash of the full configuration, seed included; for a teacher, the ``teacher_id`` of its students.
        arm_id: Hash of the configuration without the seed and, where a study crosses teachers with seeds, without the
            seed of its teacher.
        arm: The arm's readable name: ``baseline``, ``temperature=0.5``; for a teacher, its network and data set.
        seed: Seed of the replicate; for a teacher, its own seed.
        stage: `Stage`.
        number: Order of planning within the run, from 0; teachers are counted apart.
        params: Factor path to value, for every factor that this arm sets.
        config: The full trial configuration.
        epochs: Epochs of all phases; 0 in ledgers of a version that had one phase.
        context: The context that it runs in; empty if the study has none.
        teacher_id: Identity of its teacher, as in a `TeacherRow`, and the name of a trained teacher's file in the run.
            With the mean of several teachers, the identities of all, joined by commas. Empty without a teacher, and in
            older ledgers for one that was read from a file.
        aliases: ``arm`` (name) and ``params`` of each other arm of the study that trains alike.
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

    @property
    def replicate(self) -> str:
        """The seed in words and, as teachers may be crossed with seeds, the teacher's where it is not 0."""
        match self.config:
            case {"teacher": {"seed": int(of_teacher)}} if of_teacher:
                return f"seed {self.seed} at teacher seed {of_teacher}"
        return f"seed {self.seed}"

    def named_by(self, study: StudyRow) -> Self:
        """Return the row with the arm's names by a later launch, whose study may have grown."""
        new = study.renamed.get(self.arm_id) if self.stage == Stage.DESIGN else None
        return replace(self, **new) if new else self


@dataclass(frozen=True, kw_only=True)
class TeacherRow(Row):
    """Scores of a teacher on a validation split of its own data set, and where the teacher came from.

    Attributes:
        teacher_id: Its identity, as in `PlannedRow`.
        model: Name of its network.
        data: Name of the data set that it was trained on.
        origin: `TRAINED_HERE`, or the file that it was read from.
        sha256: SHA-256 of the file; empty if it was trained here.
        validation_accuracy: Top-1, per cent.
        validation_loss: Mean cross-entropy; None if it is not finite.
        validation_images: Images of the split; None, as the next two, if it was trained by an older version.
        num_classes: Classes of the data set.
        chance: Per cent of the split in its largest class: the accuracy without looking at an image.
        seed: Replicate whose validation split was used; None for a trained teacher, which has its own split.
        test_accuracy: Top-1, per cent, at the end of its training; None, as the next, if it is from a file.
        test_loss: Mean cross-entropy.
        teacher_seed: Seed of its training; None, as the next two, if it is from a file or in older ledgers.
        epochs: Epochs that it was trained for.
        wall_seconds: Time of its training in this run; 0 if it was found in the cache.
        weights: Where its first weights are from; empty if they were random.
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
    teacher_seed: int | None = None
    epochs: int | None = None
    wall_seconds: float | None = None
    weights: str = ""
    time: float = 0.0

    @property
    def is_near_chance(self) -> bool:
        """Whether its accuracy, below 100, is at most `STANDARD_ERRORS` binomial standard errors above chance."""
        if self.chance is None or not self.validation_images or self.validation_accuracy >= 100:
            return False
        error = math.sqrt(self.chance * (100 - self.chance) / self.validation_images)
        return self.validation_accuracy <= self.chance + STANDARD_ERRORS * error


TRAINED_HERE = "trained here"
"""Origin of a teacher that was trained for the study."""

WITHDRAWN = "withdrawn by the user"
"""First words of the reason with which a withdrawn trial ends; planned again, it begins without its epochs."""

STANDARD_ERRORS = 3
"""Standard errors above chance up to which a teacher is not known to be better than chance."""


@dataclass(frozen=True, kw_only=True)
class EpochRow(EpochResult, Row):
    """An `EpochResult` with its trial and the time at which it reached the driver."""

    kind: ClassVar[str] = "epoch"
    trial_id: str
    time: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the row of a parsed line, without terms, health and measures that are null."""
        for name in ("terms", "health", "measures"):
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
        epochs: Epochs that were trained.
        wall_seconds: Training time of all epochs, each counted once.
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


@dataclass(frozen=True, kw_only=True)
class LookRow(Row):
    """A look (interim test) of a race, written before it takes effect: the arms in ``out`` are not planned any further.

    Attributes:
        number: Number of the look, from 1.
        seeds: Number of seeds that every arm in the race has finished.
        comparisons: ``arm_id``, ``against_id``, ``n_pairs``, ``effect``, sequential ``p``, ``p_adjusted`` and
            ``verdict`` of each comparison; numbers are null where nothing could be tested.
        out: Arm to the reason why it gets no more seeds.
    """

    kind: ClassVar[str] = "look"
    number: int
    seeds: int
    comparisons: list[dict[str, Any]]
    out: dict[str, str]
    time: float = 0.0


ROWS: dict[str, type[Row]] = {row.kind: row for row in (StudyRow, PlannedRow, TeacherRow, EpochRow, EndRow, LookRow)}
