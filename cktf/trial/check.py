"""Checks before a study starts whether its trials can run."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import nn

from cktf.batch import Shapes
from cktf.data import IMAGE_FOLDER, Dataset, in_both_parts, look_at_image_folder, split
from cktf.errors import InputError, within
from cktf.measures import Measure, OfPredictions, OfStudent, Predictions
from cktf.measures.registry import as_numbers, numbers_of
from cktf.models import ModelConfig, build_model, measure_shapes
from cktf.objectives import active_objectives
from cktf.plugins import ORIGINS
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trial.held_data import held_dataset
from cktf.trial.initial import initial_weights
from cktf.trial.teachers import CPU, MeanOfLogits, held_teacher

NOT_BUILT = {"seed", "optimizer", "epochs", "precision", "compile", "teachers"}
"""Fields of a trial's configuration that do not affect whether its parts can be built."""


def what_is_built(config: TrialConfig) -> tuple[object, ...]:
    """Return the key that two trials share if checking one of them is enough."""
    settings = (getattr(config, name) for name in TrialConfig.model_fields if name not in NOT_BUILT)
    return (*settings, *config.teachers_by_key.items())


def check_trial(
    config: TrialConfig,
    workers: int = 1,
    *,
    is_measured: bool = False,
    measures: Mapping[str, Measure] = MappingProxyType({}),
) -> None:
    """Build all parts of a trial of that many workers on the CPU, with memory banks of one sample per class.

    Measures of plug-ins are tried on made-up outputs and on the untrained student.

    Raises:
        InputError: If a data set or the teacher's file is missing, networks, data, batches and objectives do not fit
            together, or all training images are of one class.
    """
    if config.teachers_as == "drawn":
        for key, each in config.teachers_by_key.items():
            with within(key):
                check_trial(config.with_teacher(each), workers, is_measured=is_measured, measures=measures)
        return
    dataset = held_dataset(config.data, CPU)
    parts = split(dataset.train_labels, config.data, config.seed)
    classes = torch.unique(dataset.train_labels[parts.train_index])
    if len(classes) == 1:
        raise InputError(_one_class(config))
    if is_measured and config.has_other_classes:
        raise InputError("health: compares the logits of student and teacher, which are not of the same classes here")
    teacher = _build_teacher(config, dataset) if config.runs_teacher(is_measured=is_measured) else None
    # In a transfer each image is its own class; two are enough.
    labels = classes[:2] if config.task == "transfer" else classes
    network, _, phases = assemble(config, dataset, parts, teacher, labels, initial_weights(config.student, "student"))
    for phase in phases:
        with within(f"phase {phase.name}"):
            phase.loader(Workers(size=workers))
    if of_plugins := {name: each for name, each in measures.items() if ("METRICS", name) in ORIGINS}:
        _try_measures(of_plugins, network, dataset)


def _try_measures(measures: Mapping[str, Measure], network: nn.Module, dataset: Dataset) -> None:
    num_classes = dataset.num_classes
    labels = torch.arange(3 * num_classes) % num_classes
    logits = torch.sin(torch.arange(3.0 * num_classes**2)).reshape(-1, num_classes)
    outputs = Predictions(logits, labels, logits.flip(0))
    numbers_of({n: each for n, each in measures.items() if isinstance(each, OfPredictions)}, "validation", outputs)
    image = torch.zeros(1, *dataset.image_shape).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        network.eval()
        as_numbers({name: each(network, image) for name, each in measures.items() if isinstance(each, OfStudent)})


def look_at_data(config: TrialConfig) -> list[str]:
    """Return remarks for the user on their own data: for an image folder from its layout, else from all images."""
    found: list[str] = []
    for data in (config.data, config.source):
        if data is None or not data.is_own:
            continue
        place = f"data.root: {data.root or data.name}"
        if data.name == IMAGE_FOLDER:
            num_classes, remarks = look_at_image_folder(data.place)
            if num_classes == 1 and data is config.data:
                raise InputError(_one_class(config))
            found += remarks
            continue
        if not data.verify:
            found.append(
                f"data.verify: false: the files of {data.name} are not compared with the published ones; the trials "
                "are known by the content of the files"
            )
        if data.with_content().content is None:
            found.append(f"{place} is not on this machine; it is not looked at")
            continue
        dataset = held_dataset(data, CPU)
        if in_both := in_both_parts(dataset):
            found.append(f"{place}: {in_both}")
        found += dataset.remarks
    return found


PAIR_STAGES = {"at", "nst", "vid", "fitnet", "cktf"}
"""Objectives that pair a student's stages with a teacher's, from the end if the student has fewer."""


def look_at_networks(config: TrialConfig) -> list[str]:
    """Return a remark if a student has fewer stages than its teacher, and an objective pairs them."""
    if config.teachers:
        alone = map(config.with_teacher, config.teachers_by_key.values())
        return [said for each in alone for said in look_at_networks(each)]
    if config.teacher is None or not PAIR_STAGES & active_objectives(config.objective).keys():
        return []
    side = config.data.side or 32  # the number of stages does not depend on the side
    both = config.student, config.teacher
    shapes = [_shapes(network.model_dump_json(include=_LAYERS), side) for network in both]
    of_student, of_teacher = (len(found.stages) if found and found.has("stages") else 0 for found in shapes)
    if not 0 < of_student < of_teacher:
        return []
    student, teacher = config.student.model, config.teacher.model
    return [
        f"{student} has {of_student} stages and its teacher {teacher} {of_teacher}; where stages are compared, they "
        f"are paired from the end: stage1 with the teacher's stage{of_teacher - of_student + 1}, and so on"
    ]


_LAYERS = {"model", "stem", "stages", "penultimate"}


@lru_cache
def _shapes(settings: str, side: int) -> Shapes | None:
    """Return the shapes of a network's activations; None if it cannot be built, which its check reports."""
    try:
        with torch.random.fork_rng(devices=[]):
            network = build_model(ModelConfig.model_validate_json(settings), 2, (3, side, side))
            return measure_shapes(network, (3, side, side))
    except (InputError, RuntimeError):
        return None


def _one_class(config: TrialConfig) -> str:
    return (
        f"data.root: {config.data.root or config.data.name} has one class in its training split, so there is nothing "
        "to tell apart, and no negatives; two classes or more are needed"
    )


def _build_teacher(config: TrialConfig, dataset: Dataset) -> nn.Module:
    if config.teachers:
        networks = []
        for key, each in config.teachers_by_key.items():
            with within(key):
                networks.append(_build_teacher(config.with_teacher(each), dataset))
        of_data = held_dataset(config.teacher_data, CPU).num_classes
        counts = {key: each.classes or of_data for key, each in config.teachers_by_key.items()}
        if len({*counts.values()}) > 1:
            found = ", ".join(f"{count} of {key}" for key, count in counts.items())
            raise InputError(f"teachers: a mean is of logits of the same classes; got {found}; choose drawn")
        return MeanOfLogits(networks)
    assert config.teacher is not None, "checked with the configuration"
    if config.source is None:
        return held_teacher(config.teacher, config.data)
    with within("source"):
        source = held_dataset(config.source, CPU)
        split(source.train_labels, config.source, config.seed)
    teacher = held_teacher(config.teacher, config.source)
    try:
        measure_shapes(teacher, dataset.image_shape)
    except (RuntimeError, AssertionError) as error:  # vision transformers assert the one size that they read
        channels = source.image_shape[0]
        remedy = "data.side sets another"
        if dataset.image_shape[0] != channels:
            remedy = f"choose a data set with {channels} channels, as those of {config.source.name} have"
        raise InputError(
            f"teacher: {config.teacher.model} cannot read images of {config.data.name}, whose shape is "
            f"{tuple(dataset.image_shape)}; {remedy}: {error}"
        ) from error
    return teacher
