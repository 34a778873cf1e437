"""Builds the parts of a trial from its configuration: networks, objectives and phases."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from cktf.batch import Layers, NoRepresentation, Shapes
from cktf.data import Dataset, Samples, Split, unlabelled_samples
from cktf.errors import InputError
from cktf.measures.student import uncompiled
from cktf.models import build_model, folded, inner_layers, measure_shapes
from cktf.objectives import BuildContext, WeightedSum, extended_student
from cktf.seeding import initialisation
from cktf.trainer.config import TrialConfig
from cktf.trainer.phases import Phase, objective_phases, probe_phase
from cktf.trainer.probe import Probe

MOST_GRAPHS = 128
"""Limit of compiled graphs per network class in one process; PyTorch's own for all graphs together is 256."""


def assemble(
    config: TrialConfig,
    dataset: Dataset,
    parts: Split,
    teacher: nn.Module | None,
    labels: Tensor | None = None,
    initial: Callable[[nn.Module], None] | None = None,
) -> tuple[nn.Module, WeightedSum, list[Phase]]:
    """Return a trial's parts, on the data set's device: the network that is evaluated, the objectives, and the phases.

    The network is the student or, in a transfer, the probe around it. ``teacher`` is the frozen one on the device,
    compiled if it is to be; None if the trial runs none. ``labels`` (samples,), int64, CPU, are those that the
    objectives are built for; None: those of all training samples. ``initial`` loads the file of the student's initial
    parameters into it.

    Raises:
        InputError: If networks, images and objectives do not fit together.
    """
    is_transfer = config.task == "transfer"
    labelled = Samples(dataset, parts.train_index)
    samples = unlabelled_samples(dataset, parts.validation_index) if is_transfer else labelled
    # The student has its teacher's classes, which in a transfer are not the data set's.
    of_teacher = _shapes_of_teacher(teacher, dataset.image_shape).logits if teacher and is_transfer else None
    num_classes = dataset.num_classes if of_teacher is None else of_teacher.numel()
    labels = samples.labels if labels is None else labels
    classes = num_classes, dataset.num_classes
    student, probe, given = built_student(config, dataset.image_shape, classes, labels, teacher, initial)
    objective = WeightedSum(config.objective, given).to(dataset.device)
    network = probe or student

    # Convolutions are faster with the channels innermost, on a CPU too (WRN-40-2 and WRN-16-2: 1.4 times).
    network.to(dataset.device).to(memory_format=torch.channels_last)
    if teacher:
        teacher.to(memory_format=torch.channels_last)
        if dataset.device.type == "cuda" and not config.compile:
            teacher = folded(teacher, dataset.image_shape, getattr(torch, config.precision_on("cuda")))
    if config.compile:
        student.compile()
        # A warm worker compiles many networks; beyond PyTorch's limit of 8 graphs of a class nothing would be compiled.
        torch._dynamo.config.recompile_limit = MOST_GRAPHS

    phases = objective_phases(config, student, teacher, objective, samples)
    if probe:
        phases.append(probe_phase(probe, labelled, config.seed))
    return network, objective, phases


def built_student(
    config: TrialConfig,
    image_shape: Sequence[int],
    num_classes: tuple[int, int],
    labels: Tensor,
    teacher: nn.Module | None,
    initial: Callable[[nn.Module], None] | None = None,
) -> tuple[nn.Module, Probe | None, BuildContext]:
    """Return a trial's student, the probe around it or None, and the context that objectives are built for.

    The student, on the CPU, has the layers that an objective adds. ``num_classes`` are those of its own classifier and
    those of the data set, which the probe has. The other arguments are as for `assemble`.
    """
    try:
        with initialisation(config.seed, "student"):
            student = build_model(config.student, num_classes[0], image_shape)
    except InputError as error:
        raise InputError(f"student.model: {error}") from error
    if initial:
        initial(student)
    shapes = measure_shapes(student, image_shape)
    given = BuildContext(
        student=shapes,
        teacher=_shapes_of_teacher(teacher, image_shape) if teacher else shapes,
        labels=labels,
        seed=config.seed,
        student_layers=inner_layers(student),
        teacher_layers=inner_layers(teacher) if teacher else Layers(),
    )
    extended = extended_student(config.objective, student, given)
    if extended is not student:
        student, shapes = extended, measure_shapes(extended, image_shape)
        given = replace(given, student=shapes, student_layers=inner_layers(student))
    if not config.probe:
        return student, None, given
    try:
        num_features = shapes.penultimate.numel()
    except NoRepresentation as error:
        raise InputError(f"probe: {error}") from error
    return student, Probe(config.probe, student, num_features, num_classes[1], config.seed), given


def _shapes_of_teacher(teacher: nn.Module, image_shape: Sequence[int]) -> Shapes:
    with uncompiled(teacher):  # a graph for one image would be of no use
        return measure_shapes(teacher, image_shape, "teacher")
