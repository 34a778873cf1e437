"""Deletes files of trials: checkpoints that are no longer needed, and students that the study does not keep."""

from cktf.plan.state import RunState
from cktf.rows import EndRow, Row, Status
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT, trial_storage

ERROR = "error.txt"
"""Name of the file with a failed trial's traceback, in the trial's folder."""


class TrialFiles:
    """The files of a run's trials, deleted when no longer needed, so that many trials do not fill the disk.

    The study's ``keep`` says which students stay.
    """

    def __init__(self, run: Storage, state: RunState, spec: StudySpec) -> None:
        self._run = run
        self._state = state
        self._spec = spec

    def on_row(self, row: Row) -> None:
        """Delete the checkpoint of a trial that has ended. A failed trial's stays: it may be tried again."""
        if isinstance(row, EndRow) and row.status != Status.FAILED:
            place = trial_storage(self._run, row.trial_id)
            place.delete(CHECKPOINT)
            place.delete(ERROR)
            place.sweep()
            is_teacher = row.trial_id in self._state.teacher_trials  # whose weights the folder of teachers has
            if self._spec.keep == "none" or is_teacher:
                place.delete(STUDENT)

    def finish(self) -> None:
        """Final clean-up: delete the weights of all but the best arm of each context, now that it is known.

        Checkpoints of ended trials are deleted again, because a kill may have come between a row and its deletion.
        """
        for trial in (*self._state.teacher_trials.values(), *self._state.trials.values()):
            if trial.end:
                self.on_row(trial.end)
        if self._spec.keep != "best":
            return
        best = self._state.best_arms(maximise=self._spec.maximise)
        for trial_id, trial in self._state.trials.items():
            first = best.get(trial.planned.context)
            if trial.status is Status.COMPLETE and first and trial.planned.arm_id != first.arm_id:
                trial_storage(self._run, trial_id).delete(STUDENT)
