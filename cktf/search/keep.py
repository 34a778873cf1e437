"""What stays of the trials' files: checkpoints while needed, and the students that the study keeps."""

from statistics import fmean

from cktf.rows import EndRow, Row, Stage, Status
from cktf.search.state import RunState, TrialState
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT, trial_storage


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
            if self._spec.keep == "none":
                place.delete(STUDENT)

    def finish(self) -> None:
        """Delete the students of all but the best arm, now that it is known which one that is."""
        if self._spec.keep != "best":
            return
        best = self._best_arm()
        for trial_id, trial in self._state.trials.items():
            if trial.status is Status.COMPLETE and trial.planned.arm_id != best:
                trial_storage(self._run, trial_id).delete(STUDENT)

    def _best_arm(self) -> str | None:
        """Return the arm with the best mean; after a search, of those that were confirmed."""
        complete = [trial for trial in self._state.trials.values() if trial.score is not None]
        confirmed = [trial for trial in complete if trial.planned.stage == Stage.CONFIRM]
        arms: dict[str, list[TrialState]] = {}
        for trial in confirmed or complete:
            arms.setdefault(trial.planned.arm_id, []).append(trial)
        means = {arm_id: fmean(trial.score or 0.0 for trial in trials) for arm_id, trials in arms.items()}
        choose = max if self._spec.maximise else min
        return choose(means, key=means.__getitem__) if means else None
