"""A run's state: its ledger folded row by row. Whoever reads the same rows arrives at the same state."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Stage, Status, StudyRow
from cktf.search.errors import LedgerDamaged


@dataclass
class TrialState:
    """What the ledger knows about one trial.

    Attributes:
        planned: Its plan.
        curve: Epoch to the value of the study's metric; None in a phase that is not scored.
        wall_seconds: Training time of those epochs.
        end: How it ended; None while it is to be run.
    """

    planned: PlannedRow
    curve: dict[int, float | None] = field(default_factory=dict)
    wall_seconds: float = 0.0
    end: EndRow | None = None

    @property
    def status(self) -> Status:
        """How it stands."""
        if self.end:
            return Status(self.end.status)
        return Status.RUNNING if self.curve else Status.PLANNED

    @property
    def epochs(self) -> int:
        """Epochs it has when it is complete."""
        return self.planned.epochs or int(self.planned.config["epochs"])

    def scored_epochs(self, epoch: int) -> int:
        """Return how many epochs up to this one have a value of the metric."""
        return sum(value is not None for at, value in self.curve.items() if at <= epoch)

    @property
    def score(self) -> float | None:
        """The metric at the last epoch of a complete trial; never the best epoch's."""
        return self.curve[max(self.curve)] if self.status is Status.COMPLETE and self.curve else None


@dataclass(frozen=True)
class ArmScore:
    """An arm's mean score, as `mean_score` has it."""

    arm_id: str
    arm: str
    score: float
    context: str = ""


def mean_score(trials: Collection[TrialState]) -> float | None:
    """Return an arm's mean score; None unless all its trials are complete, with a finite one."""
    scores = [math.nan if trial.score is None else trial.score for trial in trials]
    mean = fmean(scores)
    return mean if math.isfinite(mean) else None


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
        """Take one row in.

        Raises:
            LedgerDamaged: If it tells of a trial that no row before it has planned.
        """
        match row:
            case StudyRow():
                self.study = row
            # Planned again: a failed trial is tried once more.
            case PlannedRow() if row.trial_id in self.trials:
                self.trials[row.trial_id].end = None
            case PlannedRow():
                self.trials[row.trial_id] = TrialState(row)
            case EpochRow():
                trial = self._planned(row)
                if row.epoch not in trial.curve:
                    trial.wall_seconds += row.epoch_seconds
                trial.curve[row.epoch] = getattr(row, self.metric)
            case EndRow():
                self._planned(row).end = row

    def counts(self) -> Counter[Status]:
        """Return how many trials stand how."""
        return Counter(trial.status for trial in self.trials.values())

    def failures(self) -> Iterator[TrialState]:
        """Yield the failed trials in the order in which they were planned."""
        return (trial for trial in self.trials.values() if trial.status is Status.FAILED)

    def ranking(self, stage: Stage, *, maximise: bool) -> list[ArmScore]:
        """Return the arms of a stage that have a `mean_score`, the best first."""
        arms: dict[str, list[TrialState]] = {}
        for trial in self.trials.values():
            if trial.planned.stage == stage:
                arms.setdefault(trial.planned.arm_id, []).append(trial)
        scores = [
            ArmScore(arm_id, trials[0].planned.arm, score, trials[0].planned.context)
            for arm_id, trials in arms.items()
            if (score := mean_score(trials)) is not None
        ]
        return sorted(scores, key=lambda arm: arm.score, reverse=maximise)

    def best_arms(self, *, maximise: bool) -> dict[str, ArmScore]:
        """Return each context's first of the ranking: of the confirmed arms, as soon as there are any.

        Contexts stand in the order of planning; those of which no arm has a score are left out.
        """
        for stage in (Stage.CONFIRM, Stage.DESIGN, Stage.SEARCH):
            if ranking := self.ranking(stage, maximise=maximise):
                first = {arm.context: arm for arm in reversed(ranking)}
                return {context: first[context] for context in self.contexts() if context in first}
        return {}

    def contexts(self) -> list[str]:
        """Return the contexts in the order of planning; one without a name where the study names none."""
        return list(dict.fromkeys(trial.planned.context for trial in self.trials.values()))

    def _planned(self, row: EpochRow | EndRow) -> TrialState:
        if row.trial_id not in self.trials:
            raise LedgerDamaged(
                f"the ledger is damaged: it tells of trial {row.trial_id} ({row.kind!r} row), which no row "
                "before that has planned"
            )
        return self.trials[row.trial_id]
