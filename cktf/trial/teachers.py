"""Teachers: trained once or read from a file, cached under their identity, scored, loaded frozen.

A teacher is trained by a trial whose student is the teacher network and whose only objective is cross-entropy. The
`trial_id` of that trial is the teacher's identity and its name in the cache. In a run it is planned like other trials;
outside of one, a trial trains the teacher that it needs and does not find.
"""

import json
import math
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext, suppress
from copy import deepcopy
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.data import OF_SPLIT, Constants, DataConfig, Dataset, evaluation_batches, split
from cktf.errors import InputError, naming
from cktf.locks import exclusive
from cktf.models import ModelConfig, build_model, measure_shapes, under_own_keys
from cktf.plugins import code_of, forgets_with_plugins
from cktf.rows import STANDARD_ERRORS, TRAINED_HERE, EpochResult, TeacherRow
from cktf.seeding import derive, initialisation
from cktf.storage import Storage, cache_directory
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT, load_checkpoint, load_weights, stored_weights, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.evaluate import evaluate, images_at_once
from cktf.trainer.identity import differing, identity_of
from cktf.trainer.teacher import TeacherConfig
from cktf.trainer.train import TrainingFailed, TrainOptions, only_deterministic_products, train
from cktf.trial.held_data import held_dataset
from cktf.trial.initial import initial_weights
from cktf.trial.weights import StateDict, differences, part_of, read_weights, unusable, wrong_kinds

CPU = torch.device("cpu")


def teacher_trial(teacher: TeacherConfig, data: DataConfig) -> TrialConfig:
    """Return the trial that trains a teacher on a data set."""
    return TrialConfig.model_validate(
        {
            "data": {**data.model_dump(), "train_fraction": teacher.train_fraction, "per_class": None},
            "student": teacher.model_dump(include=set(ModelConfig.model_fields)),
            "objective": {"cross_entropy": {}},
            "optimizer": teacher.optimizer,
            "epochs": teacher.epochs,
            # The last epoch is no earlier one.
            "stop_after": None if teacher.epoch == teacher.epochs else teacher.epoch,
            "batch_size": teacher.batch_size,
            "precision": teacher.precision,
            # A teacher and a student of the same network and seed must not have the same initial parameters.
            "seed": derive(teacher.seed, "teacher") % 2**31,
        }
    )


def teacher_id(config: TrialConfig) -> str:
    """Return the identity of a trial's teacher; empty if it has none.

    A trained teacher is identified by the trial that trains it; one from a file by the file's content, its network and
    its data set.
    """
    teacher, data = config.teacher, config.teacher_data
    if teacher is None:
        return ""
    if teacher.checkpoint is None:
        return teacher_trial(teacher, data).trial_id
    of = "source." if config.source else "data."
    differs = differing(config, outside={*config.outside, *(f"{of}{name}" for name in OF_SPLIT)})
    return identity_of(
        {path.removeprefix(of): value for path, value in differs.items() if path.startswith(("teacher.", of))},
        **code_of(config.teacher_parts),
    )


@forgets_with_plugins
@lru_cache(maxsize=1)
def load_teacher(
    teacher: TeacherConfig,
    data: DataConfig,
    device: torch.device,
    run: Storage | None,
    *,
    shown: Constants | None = None,
    is_compiled: bool = False,
) -> nn.Module:
    """Return the frozen teacher in eval mode, training it first if it is not cached.

    The last one stays loaded, because most trials of a study share it.

    Args:
        teacher: The network, and its recipe or file.
        data: The data set that it is trained on.
        device: Device of the returned network.
        run: The run directory. The first worker that has the teacher writes it there and every other worker reads it
            from there, so that all trials of a run have the same teacher, on whatever machine.
        shown: Constants with which its images will be normalised, replaced by its own; None: those of ``data``.
        is_compiled: Whether its forward is compiled. It must be compiled here: a later trial of this process that wants
            it uncompiled would be given the same network.

    Raises:
        TrainingFailed: If the teacher's training fails.
        InputError: If a checkpoint file does not hold the weights of the named network.
    """
    dataset = held_dataset(data, CPU)  # only for the image shape, classes and constants
    # The first weights of a teacher that is trained are read where it is trained, which need not be here.
    network = build_teacher(teacher.model_copy(update={"weights": None, "weights_sha256": None}), dataset)
    if teacher.checkpoint is None:
        network.load_state_dict(_trained_weights(teacher_trial(teacher, data), device, run))
    network.to(device).requires_grad_(False).eval()
    if is_compiled:
        network.compile()
    return at_own_input(network, teacher, dataset, shown or dataset.constants).eval().to(device)


def at_own_input(network: nn.Module, teacher: TeacherConfig, dataset: Dataset, shown: Constants) -> nn.Module:
    """Return a teacher's network for images that are normalised with the constants ``shown``.

    Its own constants are those of its settings, else those of the data set that it was trained on.
    """
    own = dataset.constants
    if teacher.mean is not None and teacher.std is not None:
        own = Constants.of(teacher.mean, teacher.std)
    return with_own_input(network, shown, own)


def build_teacher(teacher: TeacherConfig, dataset: Dataset) -> nn.Module:
    """Return the teacher's network on the CPU, with the weights of its checkpoint or its first ones if it has such.

    Raises:
        InputError: If the file is missing, does not hold the weights of the named network, or holds NaN or infinite
            ones and ``accept_any`` is not set; or if the teacher's constants are for other channels.
    """
    channels = dataset.image_shape[0]
    if teacher.mean is not None and len(teacher.mean) != channels:
        raise InputError(
            f"teacher.mean and teacher.std: need a number for each channel of the images, {channels}; got "
            f"{len(teacher.mean)}"
        )
    with initialisation(teacher.seed, "teacher"):
        network = build_model(teacher, teacher.classes or dataset.num_classes, dataset.image_shape)
    if initial := initial_weights(teacher, "teacher"):
        initial(network)
    if teacher.checkpoint is not None:
        expected, place = network.state_dict(), f"teacher.checkpoint: {teacher.checkpoint}"
        try:
            weights = under_own_keys(network, read_weights(teacher.checkpoint, teacher.sha256))
        except ValueError as error:
            raise InputError(f"teacher.checkpoint: {error}") from error
        try:
            weights = part_of(expected, weights)
        except ValueError as error:
            raise InputError(f"{place} {error}") from error
        if wrong := wrong_kinds(expected, weights):
            raise InputError(
                f"{place} does not hold the weights of {teacher.model}, which are dense floating-point numbers: {wrong}"
            )
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                f"{place} does not hold the weights of {teacher.model} for images of {channels} channels and "
                f"{teacher.classes or dataset.num_classes} classes: {differences(expected, weights) or error}"
            ) from error
        # Checked after loading, because a number of another precision may have become infinite.
        if not teacher.accept_any and (wrong := unusable(network.state_dict())):
            raise InputError(
                f"{place} holds {wrong}; name another file, or set teacher.accept_any: true to learn from it all the "
                "same"
            )
    return network


@forgets_with_plugins
@lru_cache(maxsize=1)
def held_teacher(teacher: TeacherConfig, data: DataConfig) -> nn.Module:
    """Return `build_teacher`; the last one stays loaded, because most arms of a study share it."""
    return build_teacher(teacher, held_dataset(data, CPU))


def _trained_weights(trial: TrialConfig, device: torch.device, run: Storage | None) -> StateDict:
    name = f"{trial.trial_id}.safetensors"
    shared = run.child("teachers") if run else None
    content = stored_weights(shared, name) if shared else None
    if content is None:
        # A teacher of generated data is of no use to other studies, so it is not cached.
        cache = TemporaryDirectory(prefix="cktf-") if trial.data.generated else nullcontext(cache_directory())
        with cache as folder:
            content = _cached_or_trained(trial, device, Path(folder))
            if shared:
                if not shared.exists(name):
                    record = Storage(folder).child("teachers").read(f"{trial.trial_id}.json")
                    _store(shared, trial.trial_id, record or b"{}", content)
                # Another machine may have been first: the run's teacher is the one in the run directory.
                content = shared.read(name) or content
    return load_weights(content)


def _cached_or_trained(trial: TrialConfig, device: torch.device, folder: Path) -> bytes:
    cache = Storage(folder).child("teachers")
    name = f"{trial.trial_id}.safetensors"
    content = stored_weights(cache, name)
    if content is not None:  # before the lock, which cannot be made in a read-only cache
        return content
    # Trials that start together all need the same teacher: the first trains it, the others wait for the file.
    with naming(folder), exclusive(folder / "teachers" / f"{trial.trial_id}.lock"):
        content = stored_weights(cache, name)
        if content is None:
            place = trial_storage(Storage(folder).child("training"), trial.trial_id)
            try:
                *_, last = _training(trial, device, place)
            except TrainingFailed as error:
                raise TrainingFailed(f"the teacher ({trial.student.model}): {error}") from error
            content = place.read(STUDENT)
            assert content is not None, "training ends with the student's weights"
            _store(cache, trial.trial_id, _record(trial, last), content)
            place.clear()
    return content


def train_teacher(
    trial: TrialConfig, device: torch.device, run: Storage, options: TrainOptions | None = None
) -> Generator[EpochResult, None, str]:
    """Train a teacher as a trial of a run, with its checkpoint there, and yield the results of its epochs.

    Of ``options``, those that are about checkpoints and algorithms apply to a teacher too. Weights and scores are
    written to the run's folder of teachers and, unless the data are generated, to the user's
    cache. A teacher that one of these has is not trained.

    Returns:
        Where it was found; empty if it was trained.

    Raises:
        TrainingFailed: If the loss is no longer finite.
        InputError: If the file of its first weights does not fit.
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
    for last in _training(trial, device, place, options):
        yield last
    content = place.read(STUDENT)
    assert content is not None, "training ends with the student's weights"
    record = _record(trial, last)
    _store(teachers, trial.trial_id, record, content)
    if cache:
        with suppress(OSError):  # a cache that cannot be written loses nothing: the run has its teacher
            _store(cache, trial.trial_id, record, content)
    return ""


def _training(
    trial: TrialConfig, device: torch.device, place: Storage, options: TrainOptions | None = None
) -> Iterator[EpochResult]:
    """Train a teacher by one process, from its checkpoint if it has one, and yield the results of all its epochs."""
    if options and options.deterministic:
        only_deterministic_products()
    how = options.model_dump(include={"checkpoint_seconds", "deterministic"}) if options else {}
    yield from train(
        *(trial, held_dataset(trial.data, device), None, TrainOptions(read_test=True, **how)),
        place=place,
        checkpoint=load_checkpoint(place),
        initial=initial_weights(trial.student, "teacher"),
        workers=Workers(),
    )


def _record(trial: TrialConfig, last: EpochResult) -> bytes:
    """Return configuration and last scores of a teacher, as the file beside its weights has them."""
    dataset = held_dataset(trial.data, CPU)
    labels = dataset.train_labels.cpu()
    part = validation_part(labels[split(labels, trial.data, trial.seed).validation_index], dataset.num_classes)
    record = {"config": trial.model_dump(mode="json"), "result": asdict(last), "validation": part}
    return json.dumps(record, indent=1).encode()


def _store(teachers: Storage, identity: str, record: bytes, content: bytes) -> None:
    """Write a teacher; the weights last, because their existence says that both files are there."""
    teachers.write(f"{identity}.json", record)
    teachers.write(f"{identity}.safetensors", content)


def validation_part(labels: Tensor, num_classes: int) -> dict[str, Any]:
    """Return size and chance level of a validation split, as columns of `TeacherRow`.

    Chance is the per cent of images in the largest class: the accuracy of always predicting it, which a teacher has to
    exceed. It may be larger than 100 / classes.

    Args:
        labels: (samples,), int64: labels of its images.
        num_classes: Classes of the data set.
    """
    chance = 100 * int(torch.bincount(labels).max()) / len(labels)
    return {"validation_images": len(labels), "num_classes": num_classes, "chance": chance}


def score_teacher(config: TrialConfig, device: torch.device) -> TeacherRow:
    """Return the accuracy of a trial's teacher, read from a file, on the trial's validation split, in float32.

    In a transfer that is a split of ``source``.

    Raises:
        InputError: As `build_teacher`; if it does no better than chance or its outputs are not finite, and
            ``teacher.accept_any`` is not set.
    """
    teacher, data = config.teacher, config.teacher_data
    assert teacher is not None
    assert teacher.checkpoint is not None
    of_input = held_dataset(data, CPU)
    network = at_own_input(held_teacher(teacher, data), teacher, of_input, of_input.constants)
    if device != CPU:
        network = deepcopy(network).to(device)
    dataset = held_dataset(data, device)
    labels = dataset.train_labels.cpu()
    rows = split(labels, data, config.seed).validation_index
    at_once = images_at_once(measure_shapes(network, dataset.image_shape, "teacher"), config.batch_size)
    found = evaluate(network, evaluation_batches(dataset, rows, batch_size=at_once))
    row = TeacherRow(
        teacher_id=teacher_id(config),
        model=teacher.model,
        data=data.name,
        origin=teacher.checkpoint,
        sha256=teacher.sha256 or "",
        validation_accuracy=found.accuracy,
        validation_loss=found.loss if math.isfinite(found.loss) else None,
        **validation_part(labels[rows], dataset.num_classes),
        seed=config.seed,
        time=time.time(),
    )
    wrong = ""
    if row.validation_loss is None:
        wrong = "its outputs are not finite"
    elif row.is_near_chance:
        wrong = f"which is within {STANDARD_ERRORS} standard errors of chance, or below it"
    if wrong and not teacher.accept_any:
        raise InputError(
            f"teacher.checkpoint: {teacher.checkpoint} has an accuracy of {row.validation_accuracy:.2f} % on the "
            f"n = {row.validation_images} validation images of {data.name}, where chance is {row.chance:.2f} %: "
            f"{wrong}. Its classes may be in another order, or its images scaled otherwise; name another file, or set "
            "teacher.accept_any: true to learn from it all the same"
        )
    return row


def trained_row(run: Storage, identity: str) -> TeacherRow | None:
    """Return the scores of a teacher at the end of its training from the run directory.

    None if there is no record, or it cannot be read now.
    """
    try:
        record = json.loads(Storage(run.root).child("teachers").read(f"{identity}.json") or b"{}")
    except (OSError, ValueError):  # the second: it is damaged
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


class _OwnInput(nn.Module):
    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, shown: Constants, own: Constants) -> None:
        super().__init__()
        self.network = network
        mean, std, own_mean, own_std = (
            torch.tensor(values, dtype=torch.float64)[:, None, None]
            for values in (shown.mean, shown.std, own.mean, own.std)
        )
        self.register_buffer("scale", (std / own_std).float())
        self.register_buffer("shift", ((mean - own_mean) / own_std).float())

    def forward(self, images: Tensor) -> Activations:
        activations: Activations = self.network(images * self.scale + self.shift)
        return activations


def with_own_input(network: nn.Module, shown: Constants, own: Constants) -> nn.Module:
    """Return a network for images normalised with the constants ``shown``, which was trained with its ``own``."""
    return network if shown == own else _OwnInput(network, shown, own)
