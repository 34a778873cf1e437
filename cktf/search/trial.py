"""What runs on a Ray worker: a slot that trains one trial after the other in a warm process.

Starting a process, its imports, CUDA, the data set and the teacher cost seconds, so a slot keeps them: it is
a Tune trainable whose actor is used again for the next trial. Inside it, each trial's training is a Ray Train
run: of one worker, in a thread of the slot's own process; of several, on workers that Ray Train starts on the
cluster.
"""

import gc
import json
import os
import platform
import queue
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import ray
import ray.train.collective
import ray.train.torch
import ray.util.queue
import torch
from ray import train as ray_train
from ray import tune

from cktf.rows import EpochResult, PlannedRow, Stage, Status
from cktf.search.cluster import Share
from cktf.search.keep import ERROR
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.health import HealthConfig
from cktf.trainer.train import TrainingFailed, device_name, train

_WORKERS = "workers"
"""Name, within a trial's folder, of the one that Ray Train wants for a run whose workers are on other machines."""


@dataclass(frozen=True)
class Assignment:
    """One trial as it travels to a slot: plain values, for Tune copies and saves them many times.

    Attributes:
        trial_id: The trial.
        configuration: Its `TrialConfig`, as JSON.
        read_test: Whether its last epoch reads the test split.
        run: Root of the run directory, as every node of the cluster sees it.
        teacher_once: Whether it shares with other trials what is read of the teacher.
        health: `HealthConfig`, as JSON; None where nothing of the kind is measured.
        teacher_is_scored: Whether it is known how well its teacher does.
        workers: Processes that train it.
        cpus: Of each worker.
        gpus: Of each worker.
    """

    trial_id: str
    configuration: str
    read_test: bool
    run: str
    teacher_once: bool
    health: str | None
    teacher_is_scored: bool
    workers: int
    cpus: float
    gpus: float

    @classmethod
    def of(
        cls, row: PlannedRow, run: Storage, share: Share, spec: StudySpec, *, teacher_is_scored: bool
    ) -> "Assignment":
        """Return the assignment of a planned trial of a study."""
        return cls(
            trial_id=row.trial_id,
            configuration=json.dumps(row.config),
            read_test=row.stage != Stage.SEARCH,
            run=run.root,
            teacher_once=spec.teacher_once,
            health=spec.health.model_dump_json() if spec.health else None,
            teacher_is_scored=teacher_is_scored,
            workers=share.workers,
            cpus=share.cpus,
            gpus=share.gpus,
        )


@dataclass(frozen=True)
class TrialEnd:
    """How a training ended, as its worker saw it."""

    status: Status
    reason: str = ""
    device: str = ""
    node: str = ""


class _Queue(Protocol):
    """What `queue.Queue` and `ray.util.queue.Queue` have in common."""

    def put(self, item: Any) -> None: ...
    def get(self, block: bool = True, timeout: float | None = None) -> Any: ...


class Slot(tune.Trainable):
    """A place where trials are trained one after the other; one step is one epoch."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin the first trial."""
        self._training = _Training(Assignment(**config))

    def step(self) -> dict[str, Any]:
        """Return ``epoch``, an `EpochResult`, or at the end of the trial ``end``, a `TrialEnd`."""
        message = self._training.advance()
        if isinstance(message, TrialEnd):
            return {"end": message, "done": True}
        return {"epoch": message}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial in the same process."""
        self._training.stop()
        self._training = _Training(Assignment(**new_config))
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: trials keep their own checkpoints. Tune reuses no actor without this method."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Load nothing."""

    def cleanup(self) -> None:
        """Let go of a training that was interrupted; its checkpoint keeps what it has done."""
        self._training.stop(patience=5.0)


class _Training:
    """One trial's Ray Train run, in a thread, one epoch at a time.

    The worker waits after each epoch until it is told to go on. So no epoch is trained that a pruner has
    decided against, and a stopped worker ends by itself, with its GPU given back, instead of being killed.
    """

    def __init__(self, assignment: Assignment) -> None:
        is_remote = assignment.workers > 1
        # Seconds after which Ray Train notices that its workers have started, or ended; it would wait for 2.
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
        new_queue = partial(ray.util.queue.Queue, actor_options={"num_cpus": 0}) if is_remote else queue.Queue
        self._messages: _Queue = new_queue()
        self._orders: _Queue = new_queue()
        self._folder = _own_folder(assignment).child(_WORKERS) if is_remote else None
        self._is_waiting = False
        self._is_over = False
        self._error: BaseException | None = None
        self._trainer = ray.train.torch.TorchTrainer(
            partial(_work, assignment, self._messages, self._orders),
            scaling_config=_scaling(assignment),
            run_config=_run_config(assignment) if is_remote else None,
        )
        self._thread = threading.Thread(target=self._fit, name=assignment.trial_id, daemon=True)
        self._thread.start()

    def advance(self) -> EpochResult | TrialEnd:
        """Let the worker go on and return what it says next.

        Raises:
            RuntimeError: If a worker has died; Tune will start the trial again.
        """
        if self._is_waiting:
            self._orders.put(True)
        while True:
            was_alive = self._thread.is_alive()
            try:
                message: EpochResult | TrialEnd = self._messages.get(timeout=1.0)
            except queue.Empty:
                if was_alive:
                    continue
                raise RuntimeError("a worker of the trial died") from self._error
            self._is_waiting = isinstance(message, EpochResult)
            self._is_over = not self._is_waiting
            return message

    def stop(self, patience: float | None = None) -> None:
        """Make the worker leave after its present epoch, and wait for that, ``patience`` seconds at most."""
        if not self._is_over:
            self._orders.put(False)
        self._thread.join(patience)
        if self._folder and not self._thread.is_alive():
            self._folder.clear()

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as error:  # told by advance, in the thread that can raise it
            self._error = error


def _scaling(assignment: Assignment) -> ray_train.ScalingConfig:
    if assignment.workers == 1:
        # None besides this process, which holds the trial's resources already.
        return ray_train.ScalingConfig(num_workers=0)
    return ray_train.ScalingConfig(
        num_workers=assignment.workers,
        use_gpu=assignment.gpus > 0,
        resources_per_worker={"CPU": assignment.cpus, "GPU": assignment.gpus},
    )


def _own_folder(assignment: Assignment) -> Storage:
    return trial_storage(Storage(assignment.run), assignment.trial_id)


def _run_config(assignment: Assignment) -> ray_train.RunConfig:
    return ray_train.RunConfig(
        name=_WORKERS,
        storage_path=_own_folder(assignment).root,
        failure_config=ray_train.FailureConfig(
            max_failures=0,
            controller_failure_limit=3,  # type: ignore[call-arg]  # its types are still those of version 1
        ),
    )


def _work(assignment: Assignment, messages: _Queue, orders: _Queue) -> None:
    """Train one trial; the function that a Ray Train worker runs."""
    rank = ray_train.get_context().get_world_rank()
    device = _device()
    where = {"device": device_name(device), "node": platform.node()}
    end = TrialEnd(Status.COMPLETE, **where)
    failure: Exception | None = None
    try:
        for result in _epochs(assignment, device):
            goes_on = True
            if rank == 0:
                messages.put(result)
                goes_on = orders.get()
            if not ray.train.collective.broadcast_from_rank_zero(goes_on):
                return
    except Exception as error:  # whatever a training raises is how this trial ended
        if _has_lost_another(error):
            raise  # that one says why, or has died, which Tune tries again
        end = TrialEnd(Status.FAILED, _reason(error), **where)
        _write_traceback(assignment, error)
        if assignment.workers > 1:  # the others wait for this one; Ray Train ends them when it raises
            failure = RuntimeError(end.reason)
    if end.status is Status.FAILED:
        _free_memory()
    if rank == 0 or failure:
        messages.put(end)
    if failure:
        raise failure


def _epochs(assignment: Assignment, device: torch.device) -> Iterator[EpochResult]:
    # A thread begins with OpenMP's default, all cores; the trial has only its share of them.
    torch.set_num_threads(max(1, int(assignment.cpus)))
    run = Storage(assignment.run)
    if not run.names():
        raise FileNotFoundError(f"{run.root} does not exist on {platform.node()}; all nodes must share it")
    config = TrialConfig.model_validate_json(assignment.configuration)
    yield from train(
        config,
        run=run,
        read_test=assignment.read_test,
        teacher_once=assignment.teacher_once,
        health=HealthConfig.model_validate_json(assignment.health) if assignment.health else None,
        teacher_is_scored=assignment.teacher_is_scored,
        device=device,
    )


def _has_lost_another(error: Exception) -> bool:
    """Return whether the exchange with other workers failed, as it does where one of them is gone."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


def _reason(error: Exception) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    return first_line if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {first_line}"


def _write_traceback(assignment: Assignment, error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    with suppress(OSError):  # the row has the reason; that no file can be written may be the reason itself
        _own_folder(assignment).write(ERROR, text.encode())


def _device() -> torch.device:
    """Return the GPU that Ray gave this process, else the CPU, also where the machine has a GPU."""
    return ray.train.torch.get_device() if ray.get_gpu_ids() else torch.device("cpu")


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
