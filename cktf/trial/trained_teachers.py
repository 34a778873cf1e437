"""Training of teachers, and their weights and scores in the run directory and in the user's cache."""

import json
import time
from collections import deque
from collections.abc import Generator
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktf.data import split
from cktf.epoch_result import EpochResult
from cktf.errors import naming
from cktf.locks import exclusive
from cktf.rows import TRAINED_HERE, TeacherRow
from cktf.scratch import scratch_folder
from cktf.storage import Storage, cache_directory
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT, load_checkpoint, load_weights, stored_weights, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.train import TrainingFailed, TrainOptions, only_deterministic_products, train
from cktf.trial.held_data import held_dataset
from cktf.trial.initial import initial_weights
from cktf.trial.weights import StateDict


def trained_weights(trial: TrialConfig, device: torch.device, run: Storage | None) -> StateDict:
    """Return the weights of a teacher: the run's, else those of the user's cache, where they are trained if absent."""
    name = f"{trial.trial_id}.safetensors"
    shared = run.child("teachers") if run else None
    content = stored_weights(shared, name) if shared else None
    if content is None:
        # A teacher of generated data is of no use to other studies, so it is not cached.
        cache = scratch_folder() if trial.data.generated else nullcontext(cache_directory())
        with cache as folder:
            place = Storage(folder)
            teachers = place.child("teachers")
            content = stored_weights(teachers, name)
            if content is None:  # looked for without the lock, which cannot be made in a read-only cache
                # Trials that start together all need the same teacher: the first trains it, the others wait.
                with naming(folder), exclusive(Path(folder) / "teachers" / f"{trial.trial_id}.lock"):
                    try:
                        deque(train_teacher(trial, device, place), maxlen=0)
                    except TrainingFailed as error:
                        raise TrainingFailed(f"the teacher ({trial.student.model}): {error}") from error
                    trial_storage(place, trial.trial_id).clear()
                content = teachers.read(name)
            if shared and content:
                if not shared.exists(name):
                    _store(shared, trial.trial_id, teachers.read(f"{trial.trial_id}.json") or b"{}", content)
                # Another machine may have been first: the run's teacher is the one in the run directory.
                content = shared.read(name) or content
    assert content is not None, "it is there, or was trained just now"
    return load_weights(content)


def train_teacher(
    trial: TrialConfig, device: torch.device, run: Storage, options: TrainOptions | None = None
) -> Generator[EpochResult, None, str]:
    """Train a teacher as a trial of a run, with its checkpoint there, and yield the results of its epochs.

    Of ``options``, those that are about checkpoints and algorithms apply to a teacher too. Weights and scores are
    written to the run's folder of teachers and, unless the data are generated, to the user's cache. A teacher that is
    there already is not trained. Return where it was found, else an empty string.
    """
    place, teachers = trial_storage(run, trial.trial_id), run.child("teachers")
    cache = None if trial.data.generated else Storage(cache_directory()).child("teachers")
    name = f"{trial.trial_id}.safetensors"
    if not place.exists(CHECKPOINT):
        if stored_weights(teachers, name) is not None:
            return "found in the run directory"
        if cache and (content := stored_weights(cache, name)) is not None:
            _store(teachers, trial.trial_id, cache.read(f"{trial.trial_id}.json") or b"{}", content)
            return "found in the cache of teachers"
    if options and options.deterministic:
        only_deterministic_products()
    how = options.model_dump(include={"checkpoint_seconds", "deterministic"}) if options else {}
    for last in train(
        *(trial, held_dataset(trial.data, device), None, TrainOptions(read_test=True, **how)),
        place=place,
        checkpoint=load_checkpoint(place),
        initial=initial_weights(trial.student, "teacher"),
        workers=Workers(),  # one process, however many train a student
    ):
        yield last
    record, content = _finished(trial, place, last)
    _store(teachers, trial.trial_id, record, content)
    if cache and cache != teachers:
        with suppress(OSError):  # a cache that cannot be written loses nothing: the run has its teacher
            _store(cache, trial.trial_id, record, content)
    return ""


def _finished(trial: TrialConfig, place: Storage, last: EpochResult) -> tuple[bytes, bytes]:
    """Return both files of a trained teacher: its configuration and last scores as JSON, and its weights."""
    dataset = held_dataset(trial.data, torch.device("cpu"))
    labels = dataset.train_labels.cpu()
    part = validation_part(labels[split(labels, trial.data, trial.seed).validation_index], dataset.num_classes)
    record = {"config": trial.model_dump(mode="json"), "result": asdict(last), "validation": part}
    content = place.read(STUDENT)
    assert content is not None, "training ends with the student's weights"
    return json.dumps(record, indent=1).encode(), content


def _store(teachers: Storage, identity: str, record: bytes, content: bytes) -> None:
    """Write a teacher's record and then its weights: if the weights exist, both files do."""
    teachers.write(f"{identity}.json", record)
    teachers.write(f"{identity}.safetensors", content)


def validation_part(labels: Tensor, num_classes: int) -> dict[str, Any]:
    """Return a validation split's columns of `TeacherRow`: its size, classes and chance level, from labels (samples,).

    Chance is the per cent of images in the largest class, the accuracy of always predicting it. It may exceed 100 /
    classes.
    """
    chance = 100 * int(torch.bincount(labels).max()) / len(labels)
    return {"validation_images": len(labels), "num_classes": num_classes, "chance": chance}


def trained_row(run: Storage, identity: str) -> TeacherRow | None:
    """Return the scores of a run's teacher at the end of its training; None if no record of them can be read now."""
    try:
        record = json.loads(Storage(run.root).child("teachers").read(f"{identity}.json") or b"{}")
    except (OSError, ValueError):  # ValueError: the record is damaged
        return None
    if not record:
        return None
    result, config = record["result"], record["config"]
    return TeacherRow(
        teacher_id=identity,
        model=config["student"]["model"],
        data=config["data"]["name"],
        origin=TRAINED_HERE,
        validation_accuracy=result["validation_accuracy"],
        validation_loss=result["validation_loss"],
        **record.get("validation", {}),
        test_accuracy=result["test_accuracy"],
        test_loss=result["test_loss"],
        epochs=result["epoch"],
        weights=config["student"].get("weights") or "",
        time=time.time(),
    )
