"""Ray Tune's view of the planner: a searcher that hands out its trials, a scheduler that reports their results.

Nothing of Tune's is restored after a crash, and what Tune saves is deleted: the ledger is the truth.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from cktf.cluster.assignment import Assignment
from cktf.names import arm_label
from cktf.plan.planner import NoTrial, Planner
from cktf.rows import PlannedRow

LOOK_SECONDS = 1.0
"""Time between two checks for silent trials."""

AWAY_SECONDS = 5.0
"""Time between two checks above which the driver itself was held up; the excess does not count as silence."""


class PlannerSearcher(Searcher):
    """Hands out the planner's trials, as long as fewer run than ``capacity`` returns."""

    def __init__(
        self,
        planner: Planner,
        assign: Callable[[PlannedRow], Assignment],
        capacity: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._planner = planner
        self._assign = assign
        self._capacity = capacity
        self._say = say
        self._trial_ids: dict[str, str] = {}
        self._put_back: Counter[str] = Counter()
        self.deaths: dict[str, str] = {}
        """Trial id -> reason of its worker's last failure, which Tune tells the scheduler alone."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's assignment, None to be asked again, or `Searcher.FINISHED`."""
        if self._planner.running >= self._capacity():
            return None
        row = self._planner.next_trial()
        if isinstance(row, NoTrial):
            return None if row is NoTrial.WAIT else Searcher.FINISHED
        self._trial_ids[trial_id] = row.trial_id
        return asdict(self._assign(row))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the planner how a trial ended, unless the planner has ended it."""
        key = self._trial_ids.pop(trial_id, None)
        if key is None:  # it was put back
            return
        end = (result or {}).get("end")
        if error:
            self._planner.on_error(key, self.deaths.pop(key, "its worker died"))
        elif end:
            self.show_remarks(result or {})
            if end.is_storage:
                self._planner.on_storage_trouble(key, end.reason)
            elif end.is_error:
                self._planner.on_error(key, end.reason, end.device, end.node)
            else:
                self._planner.on_end(key, end.status, end.reason, end.device, end.node)

    def put_back(self, trial_id: str) -> None:
        """Put back a trial that Tune gives up before it was tried, at most ``max_failures`` times."""
        key = self._trial_ids[trial_id]
        self._put_back[key] += 1
        if self._put_back[key] <= self._planner.spec.max_failures:
            del self._trial_ids[trial_id], self.deaths[key]
            self._planner.put_back(key)

    def show_remarks(self, result: dict[str, Any]) -> None:
        """Show what was logged in a trial's step."""
        for remark in result.get("said", ()):
            self._say(remark)

    def save_to_dir(self, *_: Any, **__: Any) -> None:
        """Save nothing."""


class PlannerScheduler(FIFOScheduler):
    """Reports each epoch to the planner, and stops the trials that the planner prunes."""

    supports_buffered_results = False

    def __init__(
        self,
        planner: Planner,
        searcher: PlannerSearcher,
        require_cluster: Callable[[], None],
        say: Callable[[str], None],
        storage_patience: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._planner = planner
        self._searcher = searcher
        self._require_cluster = require_cluster
        self._say = say
        self._storage_patience = storage_patience
        self._heard: dict[str, float] = {}  # by Tune's id of a trial that has a worker
        self._looked = time.monotonic()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the trial that a free slot takes next, if any; Tune asks at every step.

        It is the latest one. When Tune gives a trial to a free slot, it gives up the slot that is being started for it:
        with short trials, no slot but the first would ever get started if the earliest trial was taken.
        """
        # Tune swallows errors raised in on_trial_complete, so they are raised here.
        if self._planner.failure:
            raise self._planner.failure
        self._require_cluster()
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look(tune_controller.get_live_trials())
        return next((trial for trial in reversed(tune_controller.get_trials()) if trial.status == Trial.PENDING), None)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:  # noqa: ARG002
        """Report an epoch to the planner; return whether Tune is to continue or stop the trial."""
        self._searcher.show_remarks(result)
        self._heard[trial.trial_id] = time.monotonic()
        is_pruned = self._planner.on_epoch(trial.config["trial_id"], result["epoch"])
        return str(TrialScheduler.STOP if is_pruned else TrialScheduler.CONTINUE)

    def _look(self, trials: Iterable[Trial]) -> None:
        """Show which running trials are silent for too long, and with ``stall: retry`` end their workers.

        The patience of the storage is added, because a worker that waits for the storage is silent too.
        """
        now = time.monotonic()
        away, self._looked = max(0.0, now - self._looked - AWAY_SECONDS), now  # its results are unread
        workers = {trial: worker for trial in trials if (worker := trial.temporary_state.ray_actor)}
        self._heard = {trial.trial_id: min(now, self._heard.get(trial.trial_id, now) + away) for trial in workers}
        for trial, worker in workers.items():
            key = trial.config["trial_id"]
            silent, row = now - self._heard[trial.trial_id], self._planner.state.trial(key).planned
            if silent < self._planner.patience(key) + self._storage_patience:
                continue
            self._heard[trial.trial_id] = now  # so that it is said again only after as long
            is_tried = self._planner.spec.stall == "retry"
            then = "its worker is ended, and it goes on from its checkpoint" if is_tried else "it is waited for"
            told = f"nothing was heard of it for {silent:.0f} s"
            self._say(f"{arm_label(row.arm, row.context)}, {row.replicate}: {told}; {then}")
            if is_tried:
                self._searcher.deaths[key] = told
                ray.kill(worker)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:  # noqa: ARG002
        """Store why a worker died; Tune starts the trial again, or gives it up."""
        self._searcher.deaths.setdefault(trial.config["trial_id"], _last_words(trial))
        if trial.status == Trial.PENDING:  # its slot died when it was to take the trial over
            self._searcher.put_back(trial.trial_id)


def _last_words(trial: Trial) -> str:
    """Return one line about a trial's last failure, from the file in which Tune writes all of them."""
    file = Path(trial.error_file or "")
    text = file.read_text() if file.is_file() else ""
    lines = [line.strip() for line in text.rpartition("Failure #")[2].splitlines()[1:] if line.strip()]
    # A traceback, of a trial or its actor's start, ends with what was raised; a dead process's notice begins with it.
    said = lines[-1 if "ray::" in lines[0] else 0] if lines else "nothing is known of it"
    return f"its worker died: {said}"
