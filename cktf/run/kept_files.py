"""What stays of the trials' files: checkpoints while needed, and the students that the study keeps."""

from cktf.plan.state import RunState
from cktf.rows import EndRow, Row, Status
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT, trial_storage

ERROR = "error.txt"
"""In a failed trial's folder: the traceback."""


class Keeper:
    """Deletes what is no longer needed, so that a study of many trials does not fill the disk.

    Args:
        run: The run directory.
        state: The run's state.
        spec: The study; its ``keep`` says whose students stay.
    """

    def __init__(self, run: Storage, state: RunState, spec: StudySpec) -> None:
        self._run = run
        self._state = state
        self._spec = spec

    def __call__(self, row: Row) -> None:
        """Delete the checkpoint of a trial that has ended. A failed one's stays: it may be tried again."""
        if isinstance(row, EndRow) and row.status != Status.FAILED:
            place = trial_storage(self._run, row.trial_id)
            place.delete(CHECKPOINT)
            place.delete(ERROR)
            place.sweep()
            if self._spec.keep == "none":
                place.delete(STUDENT)

    def finish(self) -> None:
        """Delete what no end has deleted: the students of all but each context's best arm, which is known only now.

        The checkpoints of ended trials are gone over again, for a kill may have come between a trial's last
        row and this keeper.
        """
        for trial in self._state.trials.values():
            if trial.end:
                self(trial.end)
        if self._spec.keep != "best":
            return
        best = self._state.best_arms(maximise=self._spec.maximise)
        for trial_id, trial in self._state.trials.items():
            first = best.get(trial.planned.context)
            if trial.status is Status.COMPLETE and first and trial.planned.arm_id != first.arm_id:
                trial_storage(self._run, trial_id).delete(STUDENT)
