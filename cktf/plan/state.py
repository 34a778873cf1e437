"""State of a run, computed from its ledger row by row: the same rows give the same state."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from cktf.rows import WITHDRAWN, EndRow, EpochRow, LookRow, PlannedRow, Row, Stage, Status, StudyRow, TeacherRow


@dataclass
class TrialState:
    """State of one trial.

    Attributes:
        planned: Its planned row.
        curve: Epoch to the value of the study's metric; None in a phase that is not scored.
        further: Epoch to the values of the study's further metrics.
        wall_seconds: Training time of those epochs.
        slowest_epoch: Training time of the slowest epoch.
        heard: When the latest epoch reached the driver, in seconds since the Unix epoch.
        end: Its end row; None while it waits or runs.
    """

    planned: PlannedRow
    curve: dict[int, float | None] = field(default_factory=dict)
    further: dict[int, list[float | None]] = field(default_factory=dict)
    wall_seconds: float = 0.0
    slowest_epoch: float = 0.0
    heard: float = 0.0
    end: EndRow | None = None

    @property
    def status(self) -> Status:
        """Status of the trial."""
        if self.end:
            return Status(self.end.status)
        return Status.RUNNING if self.curve else Status.PLANNED

    def scored_epochs(self, epoch: int) -> int:
        """Return how many epochs up to this one have a value of the metric."""
        return sum(value is not None for at, value in self.curve.items() if at <= epoch)

    @property
    def epochs(self) -> int:
        """Number of epochs of the complete trial."""
        return self.planned.epochs or int(self.planned.config["epochs"])

    @property
    def scores(self) -> list[float | None]:
        """The metrics at the last epoch of a complete trial, never the best epoch's; empty if it is not complete."""
        if self.status is not Status.COMPLETE or not self.curve:
            return []
        last = max(self.curve)
        return [self.curve[last], *self.further[last]]


@dataclass(frozen=True)
class ArmScore:
    """Mean scores of an arm, see `mean_scores`."""

    arm_id: str
    arm: str
    scores: list[float]
    context: str
    stage: str

    @property
    def score(self) -> float:
        """Mean score of the first metric."""
        return self.scores[0]


def mean_scores(trials: Collection[TrialState]) -> list[float] | None:
    """Return an arm's mean of each metric; None unless all its trials are complete, with finite scores."""
    scores = [trial.scores for trial in trials]
    if not all(scores):
        return None
    means = [fmean(math.nan if value is None else value for value in values) for values in zip(*scores, strict=True)]
    return means if all(map(math.isfinite, means)) else None


class RunState:
    """State of all trials of a run, from the rows of its ledger; ``metric`` is the epochs' column that decides.

    ``further`` are the columns of further metrics, if trials are to store their values too.

    Trials of teachers stand apart: they are in no count and in no ranking.

    Counts and scores of arms are updated with each row, because a driver reads them at every trial's end.
    """

    def __init__(self, metric: str, rows: Iterable[Row] = (), further: Iterable[str] = ()) -> None:
        self.metric = metric
        self._further = (*further,)
        self.trials: dict[str, TrialState] = {}
        self.teacher_trials: dict[str, TrialState] = {}
        """Teacher id -> the trial that trains it."""
        self.teachers: dict[str, TeacherRow] = {}
        """Teacher id -> the row with its scores."""
        self.slowest_epoch = 0.0
        """Seconds of the slowest epoch of any student."""
        self.launched = 0.0
        """When the latest launch or resume began, in seconds since the epoch."""
        self.looks: list[LookRow] = []
        """Looks of a race, in order."""
        self._counts: Counter[Status] = Counter()
        self._contexts: dict[str, None] = {}  # in the order of planning
        self._arms: defaultdict[str, dict[str, list[TrialState]]] = defaultdict(dict)  # by stage, as planned
        self._scores: dict[tuple[str, str], ArmScore | None] = {}  # by stage and arm, as far as they were asked for
        for row in rows:
            self.apply(row)

    def apply(self, row: Row) -> None:
        """Apply one row; a trial's planned row comes before its other rows, as the reader of a ledger makes sure."""
        match row:
            case StudyRow():
                self.launched = row.time
            case TeacherRow():
                self.teachers[row.teacher_id] = row
            case LookRow():
                self.looks.append(row)
            case PlannedRow() | EpochRow() | EndRow():
                self._apply_to_trial(row)

    def trial(self, trial_id: str) -> TrialState:
        """Return a trial of a student or of a teacher."""
        return self.teacher_trials.get(trial_id) or self.trials[trial_id]

    def patience(self, trial: TrialState, least: float) -> float:
        """Return the seconds without an epoch after which something is wrong with a running trial.

        They are ten times the slowest epoch of it or of any student, at least ``least``; before the first epoch of the
        study, ten times ``least``.
        """
        slowest = max(trial.slowest_epoch, self.slowest_epoch)
        return max(10 * slowest, least) if slowest else 10 * least

    def silence(self, trial: TrialState, now: float) -> float:
        """Return the seconds since the latest epoch of a running trial, or the latest launch or resume."""
        return now - max(trial.heard, self.launched)

    def is_silent(self, trial: TrialState, now: float, least: float) -> bool:
        """Return whether a driver at work has waited for an epoch of a running trial for longer than its `patience`.

        The first epoch since the launch, for which Ray and workers start, may take ten times ``least``.
        """
        first = 10 * least if trial.heard < self.launched else 0.0
        return trial.status is Status.RUNNING and self.silence(trial, now) > max(first, self.patience(trial, least))

    def counts(self) -> Counter[Status]:
        """Return the number of trials by status."""
        return +self._counts

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has been trained yet: every trial is only planned."""
        teachers = self.teacher_trials.values()
        return len(self.trials) == self._counts[Status.PLANNED] and all(t.status is Status.PLANNED for t in teachers)

    @property
    def num_ended(self) -> int:
        """Number of trials that have ended."""
        return len(self.trials) - self._counts[Status.PLANNED] - self._counts[Status.RUNNING]

    def num_planned(self, stage: Stage) -> int:
        """Return the number of trials of a stage, of any status."""
        return sum(map(len, self._arms[stage].values()))

    def failures(self) -> Iterator[TrialState]:
        """Yield the failed trials in the order in which they were planned."""
        return (trial for trial in self.trials.values() if trial.status is Status.FAILED)

    def score(self, stage: str, arm_id: str) -> ArmScore | None:
        """Return an arm's `mean_scores` at a stage, if it has any, computed once after each of its trials' ends."""
        if (stage, arm_id) not in self._scores:
            trials = self._arms[stage][arm_id]
            scores, planned = mean_scores(trials), trials[0].planned
            found = ArmScore(arm_id, planned.arm, scores, planned.context, stage) if scores else None
            self._scores[stage, arm_id] = found
        return self._scores[stage, arm_id]

    def trials_of(self, stage: str, arm_id: str) -> list[TrialState]:
        """Return an arm's trials at a stage, as planned."""
        return self._arms[stage][arm_id]

    def ranking(self, stage: Stage, *, maximise: bool) -> list[ArmScore]:
        """Return the arms of a stage that have `mean_scores`, the best of the first metric first."""
        scores = filter(None, (self.score(stage, arm_id) for arm_id in self._arms[stage]))
        return sorted(scores, key=lambda arm: arm.score, reverse=maximise)

    def best_arms(self, *, maximise: bool) -> dict[str, ArmScore]:
        """Return each context's best arm: of the confirmed arms, as soon as there are any.

        Contexts are in the order of planning; those without a score are left out.
        """
        for stage in (Stage.CONFIRM, Stage.DESIGN, Stage.SEARCH):
            if ranking := self.ranking(stage, maximise=maximise):
                first = {arm.context: arm for arm in reversed(ranking)}
                return {context: first[context] for context in self._contexts if context in first}
        return {}

    def _apply_to_trial(self, row: PlannedRow | EpochRow | EndRow) -> None:
        of_teacher = row.trial_id in self.teacher_trials or (isinstance(row, PlannedRow) and row.stage == Stage.TEACHER)
        trials = self.teacher_trials if of_teacher else self.trials
        trial = trials.get(row.trial_id)
        if trial is None:
            assert isinstance(row, PlannedRow)
            trial = trials[row.trial_id] = TrialState(row)
            if not of_teacher:
                self._contexts.setdefault(row.context)
                self._arms[row.stage].setdefault(row.arm_id, []).append(trial)
        elif not of_teacher:
            self._counts[trial.status] -= 1
        match row:
            case PlannedRow():  # a failed trial may be tried again
                if trial.end and trial.end.reason.startswith(WITHDRAWN):  # its epochs count no more
                    trial.curve.clear()
                    trial.further.clear()
                    trial.wall_seconds = 0.0
                trial.end = None
            case EpochRow():
                if row.epoch not in trial.curve:
                    trial.wall_seconds += row.epoch_seconds
                trial.heard = row.time
                trial.slowest_epoch = max(trial.slowest_epoch, row.epoch_seconds)
                if not of_teacher:
                    self.slowest_epoch = max(self.slowest_epoch, row.epoch_seconds)
                trial.curve[row.epoch] = row.value(self.metric)
                trial.further[row.epoch] = [row.value(column) for column in self._further]
            case EndRow():
                trial.end = row
        if of_teacher:
            return
        self._counts[trial.status] += 1
        if not isinstance(row, EpochRow):
            self._scores.pop((trial.planned.stage, trial.planned.arm_id), None)
