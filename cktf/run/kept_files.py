"""Deletes files of trials: checkpoints that are no longer needed, and students that the study does not keep."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cktf.errors import refusal_of, visible
from cktf.plan.state import ArmScore, RunState, TrialState
from cktf.rows import EndRow, Row, Stage, Status
from cktf.storage import AT_ONCE, PARTIAL, TRIALS, Storage
from cktf.study.designs import plan_arms
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT

ERROR = "error.txt"
"""Name of the file with a failed trial's traceback, in the trial's folder."""


class TrialFiles:
    """The files of a run's trials, deleted when no longer needed, so that many trials do not fill the disk.

    The study's ``keep`` says which students stay; with ``best``, also those of an arm with a failed trial, which may be
    the best once that is tried again. Threads delete while the study goes on. What they cannot delete is logged, and
    deleted when the study ends, or at the end of the next session.
    """

    def __init__(self, run: Storage, state: RunState, spec: StudySpec) -> None:
        self._run = run
        self._state = state
        self._spec = spec
        planned = {trial.planned.arm_id for trial in state.trials.values()}
        arms = () if isinstance(spec.keep, str) else plan_arms(spec, planned)
        self._listed = {arm.arm_id for arm in arms if not {*arm.names}.isdisjoint(spec.keep)}
        self._best: dict[str, ArmScore] = {}  # context -> the best arm of those that this session has completed
        self._worse: set[str] = set()  # the trials of arms that are not the best of their context
        self._threads = ThreadPoolExecutor(AT_ONCE)

    def on_row(self, row: Row) -> None:
        """Delete files that an ended trial no longer needs, and the students of an arm that is not the best now.

        A failed trial's checkpoint stays: it may be tried again.
        """
        if isinstance(row, EndRow) and row.status != Status.FAILED:
            trial = self._state.trials.get(row.trial_id)
            worse = self._of_worse_arm(trial) if trial and self._spec.keep == "best" else []
            self._worse.update(worse)
            for trial_id in {row.trial_id, *worse}:
                self._threads.submit(self._delete, trial_id)

    def finish(self) -> None:
        """Delete files that ended trials no longer need, left by a kill too, and weights of all but the best arms."""
        self.close()
        best = self._state.best_arms(maximise=self._spec.maximise) if self._spec.keep == "best" else {}
        for trial_id, trial in self._state.trials.items():
            arm, row = best.get(trial.planned.context), trial.planned
            if arm is None or trial.status is not Status.COMPLETE or (arm.stage, arm.arm_id) == (row.stage, row.arm_id):
                continue
            own = self._state.trials_of(row.stage, row.arm_id)
            if arm.stage != row.stage or not any(each.status is Status.FAILED for each in own):
                self._worse.add(trial_id)
        trials = self._run.child(TRIALS)
        with self._logging_failures():
            names = trials.names(below=True)
            done_with = {name for name in names if self._is_done_with(name)}
            if len(done_with) == len(names):
                trials.clear()
                return
            trials.delete_listed(done_with, names)
            trials.clear_empty()

    def close(self) -> None:
        """Wait until the deletions that were begun are done."""
        self._threads.shutdown()

    def _of_worse_arm(self, trial: TrialState) -> list[str]:
        """Return the trials of the worse of two arms, this trial's and the best so far, once both are complete.

        Before the end of a race no arm counts as worse, because it may become the best with more seeds.
        """
        arm = self._state.score(trial.planned.stage, trial.planned.arm_id)
        if arm is None or self._spec.race:
            return []
        best = self._best.get(arm.context)
        if best is None or self._state.score(best.stage, best.arm_id) != best:  # the best arm has got more seeds
            self._best[arm.context] = arm
            return []
        worse, self._best[arm.context] = sorted((best, arm), key=self._rank)
        is_equal = self._rank(best) == self._rank(arm)  # of equal arms the end of the study finds the one to keep
        return [] if is_equal else [each.planned.trial_id for each in self._state.trials_of(worse.stage, worse.arm_id)]

    def _rank(self, arm: ArmScore) -> tuple[bool, float]:
        """Return a sort key, greater for the better arm; a confirmed arm is better than one that is only searched."""
        return arm.stage == Stage.CONFIRM, arm.score if self._spec.maximise else -arm.score

    def _delete(self, trial_id: str) -> None:
        trials = Storage(self._run.root).child(TRIALS)  # without patience: the end of the study tries again
        with self._logging_failures():
            names = [f"{trial_id}/{file}" for file in trials.child(trial_id).names(below=True)]
            trials.delete_listed({name for name in names if self._is_done_with(name)}, names)

    def _is_done_with(self, name: str) -> bool:
        """Return whether a file of a trial is needed no more."""
        trial_id, _, file = name.partition("/")
        trial = self._state.trials.get(trial_id) or self._state.teacher_trials.get(trial_id)
        if trial is None or trial.end is None or trial.status is Status.FAILED:
            return False
        if file == STUDENT:
            is_teacher = trial_id in self._state.teacher_trials  # the folder of teachers has its weights
            is_unlisted = bool(self._listed) and trial.planned.arm_id not in self._listed
            return self._spec.keep == "none" or is_teacher or is_unlisted or trial_id in self._worse
        return file in (CHECKPOINT, ERROR) or file.endswith(PARTIAL)

    @contextmanager
    def _logging_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = f"{visible(self._run.root)}: files of ended trials cannot be deleted now: {refusal_of(error)}"
            logging.getLogger(__name__).warning(said)
