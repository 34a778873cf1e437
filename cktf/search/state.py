"""A run's state: its ledger folded row by row. Whoever reads the same rows arrives at the same state."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Stage, Status, StudyRow


@dataclass
class TrialState:
    """What the ledger knows about one trial.

    Attributes:
        planned: Its plan.
        curve: Epoch to the value of the study's metric.
        wall_seconds: Training time of those epochs.
        end: How it ended; None while it is to be run.
    """

    planned: PlannedRow
    curve: dict[int, float] = field(default_factory=dict)
    wall_seconds: float = 0.0
    end: EndRow | None = None

    @property
    def status(self) -> Status:
        """How it stands."""
        if self.end:
            return Status(self.end.status)
        return Status.RUNNING if self.curve else Status.PLANNED

    @property
    def score(self) -> float | None:
        """The metric at the last epoch of a complete trial; never the best epoch's."""
        return self.curve[max(self.curve)] if self.status is Status.COMPLETE and self.curve else None


@dataclass(frozen=True)
class ArmScore:
    """An arm's mean score over its complete trials."""

    arm_id: str
    arm: str
    score: float


class RunState:
    """All trials of a run.

    Args:
        metric: Column of the epoch rows that decides.
        rows: The ledger so far.
    """

    def __init__(self, metric: str, rows: Iterable[Row] = ()) -> None:
        self.metric = metric
        self.study: StudyRow | None = None
        self.trials: dict[str, TrialState] = {}
        for row in rows:
            self.apply(row)

    def apply(self, row: Row) -> None:
        """Take one row in."""
        match row:
            case StudyRow():
                self.study = row
            case PlannedRow() if (
                row.trial_id in self.trials
            ):  # planned again: a failed trial is tried once more
                self.trials[row.trial_id].end = None
            case PlannedRow():
                self.trials[row.trial_id] = TrialState(row)
            case EpochRow():
                trial = self.trials[row.trial_id]
                if row.epoch not in trial.curve:
                    trial.wall_seconds += row.epoch_seconds
                trial.curve[row.epoch] = getattr(row, self.metric)
            case EndRow():
                self.trials[row.trial_id].end = row

    def counts(self) -> Counter[Status]:
        """Return how many trials stand how."""
        return Counter(trial.status for trial in self.trials.values())

    def failures(self) -> Iterator[TrialState]:
        """Yield the failed trials in the order in which they were planned."""
        return (trial for trial in self.trials.values() if trial.status is Status.FAILED)

    def best_arm(self, *, maximise: bool) -> ArmScore | None:
        """Return the arm with the best mean: of those that were confirmed, as soon as there are any."""
        complete = [trial for trial in self.trials.values() if trial.score is not None]
        confirmed = [trial for trial in complete if trial.planned.stage == Stage.CONFIRM]
        arms: dict[str, list[TrialState]] = {}
        for trial in confirmed or complete:
            arms.setdefault(trial.planned.arm_id, []).append(trial)
        scores = [
            ArmScore(arm_id, trials[0].planned.arm, fmean(trial.score or 0.0 for trial in trials))
            for arm_id, trials in arms.items()
        ]
        choose = max if maximise else min
        return choose(scores, key=lambda arm: arm.score) if scores else None
