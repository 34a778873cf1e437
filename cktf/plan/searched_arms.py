"""The arms of a search: their replicates, their reports to Optuna, and their ranking."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from pydantic import ValidationError

from cktf.pareto import front, spread
from cktf.plan.state import RunState, TrialState, mean_scores
from cktf.plan.suggestions import Suggestions
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Scalar, Stage, Status
from cktf.study.designs import Arm, arm_for, replicates, with_teacher_seed
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trainer.teacher import TeacherConfig


@dataclass
class _SearchedArm:
    arm: Arm
    replicates: int = 0
    trials: list[TrialState] = field(default_factory=list)
    steps: set[int] = field(default_factory=set)
    is_pruned: bool = False
    is_reported: bool = False


class SearchedArms:
    """The arms of a search, each of which is one trial for Optuna and one trial for each seed (and teacher) here.

    Optuna gets the mean over an arm's replicates: of an epoch once all have reached it, of the end once all have ended.
    An arm fails if one of its replicates fails, because a mean over fewer seeds would be a luckier draw. Rows are
    applied to ``state`` before they are applied here.
    """

    def __init__(self, spec: StudySpec, state: RunState, observations: Sequence[Mapping[str, Any]] = ()) -> None:
        self._spec = spec
        self._state = state
        self._suggestions = Suggestions(spec, observations)
        self._arms: dict[str, _SearchedArm] = {}
        self.is_exhausted = False
        self.over: Container[str] = ()
        """While a ledger is replayed, the trials that end later in it; the pruner is not asked about them again."""

    @property
    def num_arms(self) -> int:
        """Number of arms that have trials."""
        return len(self._arms)

    def apply(self, row: Row) -> None:
        """Apply a row."""
        match row:
            case PlannedRow(stage=Stage.SEARCH):
                self._planned(row)
            case EpochRow() if arm := self._arm_of(row.trial_id):
                self._advanced(arm, row.epoch)
            case EndRow() if arm := self._arm_of(row.trial_id):
                self._ended(arm)

    def propose(self) -> Arm | None:
        """Return the next arm to try; None if enough are tried, or the sampler finds no new one."""
        if self.num_arms >= self._spec.trials or self.is_exhausted:
            return None
        values = self._suggestions.propose(self.num_arms, self._is_new)
        if values is None:
            self.is_exhausted = True
            return None
        arm = arm_for(self._spec, values)
        return Arm(arm.name, values, arm.config)  # the drawn values, even if they make the baseline

    def incomplete(self) -> list[Arm]:
        """Return the arms with fewer planned trials than replicates, as a kill between two rows leaves them."""
        return [arm.arm for arm in self._arms.values() if len(arm.trials) < arm.replicates]

    def is_pruned(self, trial_id: str) -> bool:
        """Return whether a trial belongs to an arm that the pruner has ended."""
        arm = self._arm_of(trial_id)
        return arm is not None and arm.is_pruned

    def best(self, top: int) -> list[Arm]:
        """Return the arms with the best mean score on the validation split.

        With several metrics they are taken from the Pareto front, `spread` along it if it has more, the best in the
        first metric first.
        """
        ranking = self._state.ranking(Stage.SEARCH, maximise=self._spec.maximise)
        if len(self._spec.metrics) > 1 and ranking:
            signs = [-1.0 if larger else 1.0 for larger in self._spec.directions.values()]
            losses = np.array([scored.scores for scored in ranking]) * signs
            (on_front,) = np.nonzero(front(losses))
            ranking = [ranking[on_front[index]] for index in spread(losses[on_front], top)]
        return [self._arms[scored.arm_id].arm for scored in ranking[:top]]

    def _is_new(self, values: Mapping[str, Scalar]) -> bool:
        try:
            return arm_for(self._spec, values).arm_id not in self._arms
        except ValidationError:  # each value is allowed, but not all together
            return False

    def _planned(self, row: PlannedRow) -> None:
        if row.arm_id not in self._arms:
            config = TrialConfig.model_validate(row.config)
            if self._spec.teacher_seeds and config.teacher:  # an arm is the same with each of them
                config = with_teacher_seed(config, TeacherConfig.model_fields["seed"].default)
            replicates_of = len(self._spec.seeds) * len(replicates(self._spec, config, row.seed))
            self._arms[row.arm_id] = _SearchedArm(Arm(row.arm, row.params, config), replicates_of)
            self._suggestions.begin(row.arm_id, row.params)
        arm, trial = self._arms[row.arm_id], self._state.trials[row.trial_id]
        if trial not in arm.trials:
            arm.trials.append(trial)
        elif arm.is_reported:  # it failed and is tried again: a new trial for Optuna
            arm.is_reported = arm.is_pruned = False
            arm.steps.clear()
            self._suggestions.begin(row.arm_id, row.params)
            for epoch in trial.curve:
                self._advanced(arm, epoch)

    def _advanced(self, arm: _SearchedArm, epoch: int) -> None:
        reached = (trial.curve.get(epoch) for trial in arm.trials)
        values = [value for value in reached if value is not None]
        if len(values) == arm.replicates and not arm.is_reported:
            # Epochs of a method's initial phase have no score, and do not count as steps.
            step = arm.trials[0].scored_epochs(epoch)
            if step not in arm.steps:  # Optuna takes one value a step; epochs out of order could give two
                arm.steps.add(step)
                is_over = all(trial.planned.trial_id in self.over for trial in arm.trials)
                arm.is_pruned |= self._suggestions.report(arm.arm.arm_id, step, fmean(values), is_over=is_over)

    def _ended(self, arm: _SearchedArm) -> None:
        ends = [trial.status for trial in arm.trials if trial.end]
        if len(ends) < arm.replicates or arm.is_reported:
            return
        scores = mean_scores(arm.trials)  # None if one of them was pruned
        status = Status.COMPLETE if scores else Status.FAILED
        self._suggestions.tell(arm.arm.arm_id, Status.PRUNED if Status.PRUNED in ends else status, scores)
        arm.is_reported = True

    def _arm_of(self, trial_id: str) -> _SearchedArm | None:
        planned = self._state.trial(trial_id).planned
        return self._arms[planned.arm_id] if planned.stage == Stage.SEARCH else None
