"""Teachers: trained by a trial of their own or read from a file, scored, loaded frozen.

A teacher is trained by a trial whose student is the teacher network and whose only objective is cross-entropy. The
`trial_id` of that trial is the teacher's identity and its name in the cache. In a run it is planned like other trials;
outside of one, a trial trains the teacher that it needs and does not find.
"""

import math
import time
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.data import OF_SPLIT, Constants, DataConfig, Dataset, evaluation_batches, split
from cktf.errors import InputError
from cktf.models import ModelConfig, build_model, measure_shapes
from cktf.plugins import code_of, forgets_with_plugins
from cktf.rows import STANDARD_ERRORS, TeacherRow
from cktf.seeding import derive, initialisation
from cktf.storage import Storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.evaluate import evaluate, images_at_once
from cktf.trainer.identity import differing, identity_of
from cktf.trainer.teacher import TeacherConfig
from cktf.trial.held_data import held_dataset
from cktf.trial.initial import initial_weights, load_file
from cktf.trial.trained_teachers import trained_weights, validation_part

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
            # To stop after the last epoch is not to stop early.
            "stop_after": None if teacher.epoch == teacher.epochs else teacher.epoch,
            "batch_size": teacher.batch_size,
            "precision": teacher.precision,
            # A teacher and a student of the same network and seed must not have the same initial parameters.
            "seed": derive(teacher.seed, "teacher") % 2**31,
        }
    )


def teacher_id(config: TrialConfig) -> str:
    """Return the identity of a trial's teacher, of several their identities joined by commas; empty if it has none.

    A trained teacher is identified by the trial that trains it; one from a file by the file's content, its network and
    its data set.
    """
    if config.teachers:
        return ",".join(teacher_id(config.with_teacher(each)) for each in config.read_teachers.values())
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
    others: tuple[TeacherConfig, ...] = (),
) -> nn.Module:
    """Return the frozen teacher in eval mode, trained first if it is not cached; the last one stays loaded.

    The first worker that has the teacher writes it into the run directory and every other worker reads it from there,
    so that all trials of a run have the same teacher, on whatever machine. Of several teachers, with ``others``, it is
    the `MeanOfLogits`. It takes images normalised with ``shown``, by default the constants of ``data``, and converts
    them to its own. It is compiled here, within the cache, because a trial that wants it uncompiled needs another.

    Raises:
        TrainingFailed: If the teacher's training fails.
        InputError: If a checkpoint file does not hold the weights of the named network.
    """
    if others:
        each = partial(load_teacher, shown=shown, is_compiled=is_compiled)
        return MeanOfLogits([each(one, data, device, run) for one in (teacher, *others)]).eval()
    dataset = held_dataset(data, CPU)  # only for the image shape, classes and constants
    # Initial weights of a trained teacher are read where it is trained, which may be another machine.
    network = build_teacher(teacher.model_copy(update={"weights": None, "weights_sha256": None}), dataset)
    if teacher.checkpoint is None:
        network.load_state_dict(trained_weights(teacher_trial(teacher, data), device, run))
    network.to(device).requires_grad_(False).eval()
    if is_compiled:
        network.compile()
    own = own_constants(teacher, dataset)
    return with_own_input(network, shown or dataset.constants, own).eval().to(device)


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
    """Return a network for images normalised with ``shown``, which was trained on images normalised with ``own``."""
    return network if shown == own else _OwnInput(network, shown, own)


class MeanOfLogits(nn.Module):
    """Several networks of the same classes as one: the mean of their logits, (batch, classes), float32; no features."""

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Activations:
        """Return the mean of the logits as activations that hold nothing else."""
        logits = torch.stack([network(images).logits.float() for network in self.networks]).mean(0)
        nothing: Any = None
        return Activations(logits, penultimate=nothing, stem=nothing, stages=(), preactivations=())


def own_constants(teacher: TeacherConfig, dataset: Dataset) -> Constants:
    """Return the constants of a teacher's settings, else those of the data set that it was trained on."""
    if teacher.mean is not None and teacher.std is not None:
        return Constants.of(teacher.mean, teacher.std)
    return dataset.constants


def build_teacher(teacher: TeacherConfig, dataset: Dataset) -> nn.Module:
    """Return the teacher's network on the CPU, with the weights of its checkpoint or of its file of initial weights.

    It raises what `load_file` does, and an InputError if the teacher's constants are for other channels.
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
        load_file(
            *(network, teacher.checkpoint, teacher.sha256, "teacher.checkpoint", teacher.model),
            accept_any=teacher.accept_any,
        )
    return network


@forgets_with_plugins
@lru_cache(maxsize=4)
def held_teacher(teacher: TeacherConfig, data: DataConfig) -> nn.Module:
    """Return the network of `build_teacher`; the last four stay loaded, because most arms of a study share them."""
    return build_teacher(teacher, held_dataset(data, CPU))


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
    network = with_own_input(held_teacher(teacher, data), of_input.constants, own_constants(teacher, of_input))
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
