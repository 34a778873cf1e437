"""The process on a Ray worker: a slot, which trains one trial after another.

Starting a process, its imports, CUDA, the data set and the teacher take seconds, so a slot reuses them: it is a Tune
trainable whose actor is used again for the next trial. A Ray Train worker wraps each trial's training: one in the
slot's own process, or several that Ray Train starts on the cluster.
"""

import gc
import json
import os
import platform
import re
import traceback
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray.train.torch
import torch
from ray import train as ray_train
from ray import tune

from cktf.cluster.assignment import Assignment, Outcome, TrialEnd
from cktf.cluster.remarks import remarks
from cktf.cluster.worker_group import WorkerGroup
from cktf.epoch_result import EpochResult
from cktf.errors import StorageTrouble
from cktf.rows import Status
from cktf.run.kept_files import ERROR
from cktf.run.plugins import register_stored
from cktf.trainer.config import TrialConfig
from cktf.trainer.train import TrainingFailed, TrainOptions, device_name
from cktf.trial.run import run_trial
from cktf.trial.trained_teachers import train_teacher

_FAULTS = ("CUDA error", "cuDNN error", "Triton Error [CUDA]", "device-side assert", "uncorrectable ECC error")
"""Texts of exceptions, by PyTorch, cuDNN, Triton and the driver, for GPU faults without an exception class."""

_OF_GLOO = re.compile(r"\[[^\]]*\bgloo/[^\]]*:\d+\]")
"""Beginning of the errors of PyTorch's gloo: a place in its source files."""


class Slot(tune.Trainable):
    """A place where trials are trained one after the other; one step is one epoch."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin the first trial."""
        self._error: Exception | None = None
        self._training = _training(Assignment(**config))

    def step(self) -> dict[str, Any]:
        """Return ``epoch``, an `EpochResult`, or at the end ``end``, a `TrialEnd`; and ``said``, what was logged."""
        if self._error:
            raise self._error
        outcome = self._training.advance()
        said = remarks()
        if isinstance(outcome, TrialEnd):
            return {"end": outcome, "said": said, "done": True}
        return {"epoch": outcome, "said": said}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial in the same process; what goes wrong is raised by its first step.

        Raised here it would fail the trial without another try.
        """
        try:
            self._training.stop()
            self._training = _training(Assignment(**new_config))
        except Exception as error:
            self._error = error
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: trials write their own checkpoints. Tune reuses no actor without this method."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Load nothing."""

    def cleanup(self) -> None:
        """Stop a training that was interrupted; its checkpoint has its epochs."""
        self._training.stop(patience=5.0)


class OneWorker:
    """One trial's training in this process. Each epoch is one call of Ray Train, which takes a millisecond.

    So the loop can stay a generator, and no epoch is trained after a pruner has ended the trial.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._outcomes = outcomes(assignment)

    def advance(self) -> Outcome:
        """Train the next epoch and return its result, or the trial's end."""
        found: list[Outcome] = []
        ray.train.torch.TorchTrainer(
            lambda: found.append(next(self._outcomes)),
            # No process besides this one, which has the trial's resources already.
            scaling_config=ray_train.ScalingConfig(num_workers=0),
        ).fit()
        return found[0]

    def stop(self, patience: float | None = None) -> None:  # noqa: ARG002  # nothing is waited for
        """Stop the training after its last epoch."""
        self._outcomes.close()


def _training(assignment: Assignment) -> OneWorker | WorkerGroup:
    return OneWorker(assignment) if assignment.workers == 1 else WorkerGroup(assignment, outcomes)


def outcomes(assignment: Assignment) -> Generator[Outcome]:
    """Yield a trial's epochs and then its end, on one Ray Train worker.

    An exception of the training becomes the end of a failed trial. It is raised if another worker was lost, or if it is
    a fault of the GPU: Tune then ends the process, and tries the trial again in another one.
    """
    is_shared = 0 < assignment.gpus < 1
    if is_shared:  # before CUDA's first allocation, so that free memory is not in pieces too small for a neighbour
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    # The GPU that Ray gave this process, else the CPU, even if the machine has a GPU.
    device = ray.train.torch.get_device() if ray.get_gpu_ids() else torch.device("cpu")
    if is_shared and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(assignment.gpus, device)
    end = TrialEnd(Status.COMPLETE, device=device_name(device), node=platform.node())
    try:
        end = replace(end, reason=(yield from _epochs(assignment, device)))
    except Exception as error:
        if _has_lost_another(error):
            raise  # the other worker reports why it failed, or has died, and Tune tries the trial again
        is_storage = any(isinstance(each, StorageTrouble) for each in _with_causes(error))
        is_error = not isinstance(error, TrainingFailed)
        end = replace(end, status=Status.FAILED, reason=_reason(error), is_error=is_error, is_storage=is_storage)
        if not is_storage:
            text = "".join(traceback.format_exception(error))
            with suppress(OSError):  # the row has the reason
                assignment.folder.write(ERROR, text.encode())
        if is_fault_of_gpu(error, is_shared=is_shared):
            raise
    finally:
        # Also reached by a pruned trial, whose generator is closed; and no exception's frames hold the tensors here.
        if torch.cuda.is_available() or end.status is Status.FAILED:
            gc.collect()
            with suppress(RuntimeError):  # if the GPU has failed
                torch.cuda.empty_cache()
    yield end


def _epochs(assignment: Assignment, device: torch.device) -> Generator[EpochResult, None, str]:
    """Yield a trial's epochs; return where a teacher was found if it did not have to be trained, else an empty text."""
    # OpenMP's default is all cores; the trial may use only its own.
    torch.set_num_threads(max(1, int(assignment.cpus)))
    run = assignment.run_storage
    if not run.names():
        raise StorageTrouble(f"{run.root} does not exist on {platform.node()}; all nodes must share it")
    register_stored(run, json.loads(assignment.plugins))
    config = TrialConfig.model_validate_json(assignment.configuration)
    options = TrainOptions.model_validate_json(assignment.options)
    if assignment.is_teacher:
        return (yield from train_teacher(config, device, run, options))
    yield from run_trial(config, options, run=run, device=device)
    return ""


def _has_lost_another(error: Exception) -> bool:
    """Return whether the exchange with other workers failed, as it does if one of them is gone."""
    of_gloo = isinstance(error, RuntimeError) and _OF_GLOO.match(str(error)) is not None
    return of_gloo or isinstance(error, torch.distributed.DistError)


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__


def is_fault_of_gpu(error: BaseException, *, is_shared: bool) -> bool:
    """Return whether an exception, or one that it was raised from, is a fault after which a trial is tried again.

    After most errors of CUDA (an illegal address, an assertion on the device, memory that failed) no later call of the
    process succeeds. If the GPU is shared, its memory may have been short because of another trial.
    """
    for each in _with_causes(error):
        if isinstance(each, torch.OutOfMemoryError):
            return is_shared
        if isinstance(each, torch.AcceleratorError) or any(sign in str(each) for sign in _FAULTS):
            return True
    return False


def _reason(error: Exception) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    return first_line if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {first_line}"
