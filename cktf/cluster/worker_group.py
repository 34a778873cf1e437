"""The training of one trial on several Ray Train workers, one epoch at a time.

Ray Train takes a function that trains to the end, in other processes. So `fit` runs in a thread, and the first worker
waits after each epoch for an order to continue. A stopped worker returns, with its GPU freed, and is not killed.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial

import ray.train.collective
import ray.train.torch
import ray.util.queue
from ray import train as ray_train

from cktf.cluster.assignment import Assignment, Outcome, TrialEnd
from cktf.cluster.remarks import remarks
from cktf.rows import Status

_WORKERS = "workers"
"""Name of Ray Train's own folder within a trial's, which it needs if workers are on other machines."""

_log = logging.getLogger(__name__)


class WorkerGroup:
    """One trial's Ray Train run; ``outcomes`` yields its epochs and then its end, on every worker."""

    def __init__(self, assignment: Assignment, outcomes: Callable[[Assignment], Iterator[Outcome]]) -> None:
        # Seconds after which Ray Train notices that its workers have started, or ended; it would wait for 2.
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        # Seconds that they have to start in; on a busy machine the default, 60, can be too few.
        os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "300")
        self._messages = ray.util.queue.Queue(actor_options={"num_cpus": 0})
        self._orders = ray.util.queue.Queue(actor_options={"num_cpus": 0})
        self._folder = assignment.folder.child(_WORKERS)
        self._is_waiting = False
        self._is_over = False
        self._error: BaseException | None = None
        self._trainer = ray.train.torch.TorchTrainer(
            partial(_work, assignment, outcomes, self._messages, self._orders),
            scaling_config=ray_train.ScalingConfig(
                num_workers=1 if assignment.is_teacher else assignment.workers,
                use_gpu=assignment.gpus > 0,
                resources_per_worker={"CPU": assignment.cpus, "GPU": assignment.gpus},
            ),
            run_config=run_config(assignment),
        )
        self._thread = threading.Thread(target=self._fit, name=assignment.trial_id, daemon=True)
        self._thread.start()

    def advance(self) -> Outcome:
        """Let the workers continue; return the next outcome of the first worker.

        Raises a RuntimeError if a worker has died; Tune then starts the trial again.
        """
        if self._is_waiting:
            self._orders.put(True)
        while True:
            was_alive = self._thread.is_alive()
            try:
                outcome: Outcome | str = self._messages.get(timeout=1.0)
            except queue.Empty:
                if was_alive:
                    continue
                raise RuntimeError("a worker of the trial died") from self._error
            if not isinstance(outcome, str):
                self._is_over = isinstance(outcome, TrialEnd)
                self._is_waiting = not self._is_over
                return outcome
            _log.warning("%s", outcome)

    def stop(self, patience: float | None = None) -> None:
        """Make the workers return after their present epoch; wait for them, ``patience`` seconds at most."""
        if not self._is_over:
            self._orders.put(False)
        self._thread.join(patience)
        if not self._thread.is_alive():
            self._folder.clear()

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as error:  # advance raises it, in the caller's thread
            self._error = error


def run_config(assignment: Assignment) -> ray_train.RunConfig:
    """Return the configuration with which Ray Train writes its state into the trial's folder, which all nodes see."""
    return ray_train.RunConfig(
        name=_WORKERS,
        storage_path=assignment.folder.root,
        failure_config=ray_train.FailureConfig(
            max_failures=0,
            controller_failure_limit=3,  # type: ignore[call-arg]  # its types are still those of version 1
        ),
    )


def _work(
    assignment: Assignment,
    outcomes: Callable[[Assignment], Iterator[Outcome]],
    messages: ray.util.queue.Queue,
    orders: ray.util.queue.Queue,
) -> None:
    """Train one trial; the function that every worker runs."""
    is_first = ray_train.get_context().get_world_rank() == 0
    for outcome in outcomes(assignment):
        for remark in remarks():
            messages.put(remark)
        if isinstance(outcome, TrialEnd):
            has_failed = outcome.status is Status.FAILED
            if is_first or has_failed:
                messages.put(outcome)
            if has_failed:  # the other workers wait; Ray Train ends them when this one raises
                raise RuntimeError(outcome.reason)
            return
        goes_on = True
        if is_first:
            messages.put(outcome)
            goes_on = orders.get()
        if not ray.train.collective.broadcast_from_rank_zero(goes_on):
            return
