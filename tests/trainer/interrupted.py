"""Trainings that are killed and resumed, and the figures that this must not change."""

from collections.abc import Generator, Iterable
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch

from cktf.epoch_result import EpochResult
from cktf.storage import Storage
from cktf.trainer.checkpoint import Checkpoint, load_checkpoint, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial

TIMES = {"epoch_seconds", "samples_per_second", "checkpoint_seconds", "peak_memory_gib"}


def figures(results: Iterable[EpochResult], *left_out: str) -> list[dict[str, Any]]:
    """Return all of some results that the same training must repeat."""
    return [{k: value for k, value in asdict(result).items() if k not in {*TIMES, *left_out}} for result in results]


def killed(
    config: TrialConfig, run: Storage, *, after: int = 1, checkpoint_seconds: float = 0, **options: Any
) -> list[EpochResult]:
    """Return the results of a training that is killed after some epochs, by default with a checkpoint of each."""
    training = run_trial(config, TrainOptions(checkpoint_seconds=checkpoint_seconds, **options), run=run)
    found = [*islice(training, after)]
    assert len(found) == after
    assert isinstance(training, Generator)
    training.close()
    return found


def killed_after_each_epoch(config: TrialConfig, run: Storage, **options: Any) -> list[EpochResult]:
    """Return the results of a training that is killed after each epoch and each time resumed."""
    for epoch in range(1, config.total_epochs):
        killed(config, run, after=epoch, **options)
    return list(run_trial(config, TrainOptions(**options), run=run))


def checkpoint_of(run: Storage, config: TrialConfig) -> Checkpoint:
    found = load_checkpoint(trial_storage(run, config.trial_id))
    assert found is not None
    return found


def assert_equal_states(one: Checkpoint, other: Checkpoint, *names: str) -> None:
    """Compare state dicts of two checkpoints, to the last bit."""
    for name in names:
        left, right = getattr(one, name), getattr(other, name)
        assert left.keys() == right.keys()
        for key, value in left.items():
            torch.testing.assert_close(value, right[key], rtol=0, atol=0, equal_nan=True)
