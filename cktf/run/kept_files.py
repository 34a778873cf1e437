"""Deletes files of trials: checkpoints that are no longer needed, and students that the study does not keep."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cktf.errors import refusal_of, visible
from cktf.plan.state import RunState
from cktf.rows import EndRow, Row, Status
from cktf.storage import PARTIAL, TRIALS, Storage
from cktf.study.designs import plan_arms
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT

ERROR = "error.txt"
"""Name of the file with a failed trial's traceback, in the trial's folder."""


class TrialFiles:
    """The files of a run's trials, deleted when no longer needed, so that many trials do not fill the disk.

    The study's ``keep`` says which students stay. If a file cannot be deleted, that is logged, and it is deleted when
    the study ends, or at the end of the next session.
    """

    def __init__(self, run: Storage, state: RunState, spec: StudySpec) -> None:
        self._run = run
        self._state = state
        self._spec = spec

    def on_row(self, row: Row) -> None:
        """Delete the checkpoint of a trial that has ended. A failed trial's stays: it may be tried again."""
        if isinstance(row, EndRow) and row.status != Status.FAILED:
            trials = Storage(self._run.root).child(TRIALS)  # without patience: the study must not wait for this
            with self._logging_failures():
                files = trials.child(row.trial_id).names(below=True)
                done_with = {f"{row.trial_id}/{file}" for file in files if self._is_done_with(row.trial_id, file)}
                trials.delete_listed(done_with, [f"{row.trial_id}/{file}" for file in files])

    def finish(self) -> None:
        """Delete what ended trials need no more: also what a kill has left, and all but the best arm's weights."""
        trials = self._run.child(TRIALS)
        with self._logging_failures():
            names = trials.names(below=True)
            left_over = {*self._left_over(names)}
            if len(left_over) == len(names):
                trials.clear()
                return
            trials.delete_listed(left_over, names)
            trials.clear_empty()

    def _left_over(self, names: Iterable[str]) -> Iterator[str]:
        best = self._state.best_arms(maximise=self._spec.maximise) if self._spec.keep == "best" else {}
        kept = None if isinstance(self._spec.keep, str) else self._spec.keep
        arms = plan_arms(self._spec) if kept else ()
        listed = {arm.arm_id for arm in arms if {*arm.names} & {*(kept or ())}}
        for name in names:
            trial_id, _, file = name.partition("/")
            trial = self._state.trials.get(trial_id) or self._state.teacher_trials.get(trial_id)
            if trial is None or trial.end is None or trial.status is Status.FAILED:
                continue
            first = best.get(trial.planned.context)
            is_worse = trial.status is Status.COMPLETE and first is not None and trial.planned.arm_id != first.arm_id
            is_unlisted = kept is not None and trial.planned.arm_id not in listed
            if self._is_done_with(trial_id, file) or (file == STUDENT and (is_worse or is_unlisted)):
                yield name

    def _is_done_with(self, trial_id: str, file: str) -> bool:
        """Return whether a file in the folder of a trial that has not failed is needed no more after its end."""
        is_teacher = trial_id in self._state.teacher_trials  # the folder of teachers has its weights
        keeps_student = self._spec.keep != "none" and not is_teacher
        return file in (CHECKPOINT, ERROR) or file.endswith(PARTIAL) or (file == STUDENT and not keeps_student)

    @contextmanager
    def _logging_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = f"{visible(self._run.root)}: files of ended trials cannot be deleted now: {refusal_of(error)}"
            logging.getLogger(__name__).warning(said)
