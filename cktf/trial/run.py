"""Runs one whole trial: loads its checkpoint, data and teacher, then trains."""

from collections.abc import Iterator
from numbers import Integral

import torch

from cktf.epoch_result import EpochResult
from cktf.errors import InputError, shown
from cktf.settings import LARGEST_SEED
from cktf.storage import Storage
from cktf.trainer.checkpoint import load_checkpoint, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.phases import live_teacher
from cktf.trainer.train import TrainOptions, default_device, only_deterministic_products, train
from cktf.trial.held_data import held_dataset
from cktf.trial.initial import initial_weights
from cktf.trial.teacher_once import shared_teacher
from cktf.trial.teachers import load_teacher, score_teacher


def run_trial(
    config: TrialConfig,
    options: TrainOptions | None = None,
    *,
    seed: int | None = None,
    run: Storage | None = None,
    device: torch.device | None = None,
) -> Iterator[EpochResult]:
    """Train one student and yield the result of each epoch.

    A trial with a checkpoint in ``run`` is resumed: the epochs in it are yielded again, not trained again. On a CPU
    with the same number of threads the results are then bit for bit those of an uninterrupted training.

    Args:
        config: Everything that determines the training.
        options: How it is run; None takes the defaults.
        seed: The replicate; None takes that of ``config``.
        run: The run directory, for checkpoints, the teacher and the student's weights; None writes nothing.
        device: Device that trains; None: the GPU if there is one.

    Raises:
        TrainingFailed: If the loss is no longer finite.
        DatasetMissing: If the data set is not there.
        InputError: If the teacher's checkpoint does not fit, or does no better than chance; or the seed is invalid.
        StorageTrouble: If a file cannot be read or written.
    """
    if seed is not None:
        if isinstance(seed, bool) or not (isinstance(seed, Integral) and 0 <= seed <= LARGEST_SEED):
            raise InputError(f"seed: must be a whole number from 0 to {LARGEST_SEED}; got {shown(seed)}")
        config = config.with_seed(int(seed))
    options = options or TrainOptions()
    if options.deterministic:
        only_deterministic_products()
    device = device or default_device()
    place = trial_storage(run, config.trial_id) if run else None
    workers = Workers.current()
    checkpoint = load_checkpoint(place, workers, device) if place else None
    if checkpoint and checkpoint.is_complete(config.total_epochs):
        yield from checkpoint.history
        return
    dataset = held_dataset(config.data, device)
    teacher = None
    if config.runs_teacher(is_measured=options.reads_teacher):
        first, *others = config.read_teachers.values()
        for each in (first, *others):
            is_scored = options.teacher_is_scored or each.accept_any or each.classes is not None
            if each.checkpoint is not None and not is_scored:
                score_teacher(config.with_teacher(each), device)
        teacher = load_teacher(
            *(first, config.teacher_data, device, run),
            shown=dataset.constants,
            is_compiled=config.compile,
            others=tuple(others),
        )
    training = train(
        config,
        dataset,
        teacher,
        options,
        phase_teacher=shared_teacher(config) if options.teacher_once else live_teacher,
        place=place,
        checkpoint=checkpoint,
        initial=initial_weights(config.student, "student"),
        workers=workers,
    )
    del checkpoint  # its memory is freed once training has loaded it
    yield from training
