"""Find out before a study starts what would fail every one of its trials."""

import torch

from cktf.data import load_dataset
from cktf.models import build_model, measure_shapes
from cktf.objectives import Setting, WeightedSum, active_objectives
from cktf.seeding import initialisation
from cktf.trainer.config import TrialConfig
from cktf.trainer.teacher_cache import require_file


def check_trial(config: TrialConfig) -> None:
    """Load the data set and build networks and objectives once, on the CPU, for a bank of two samples.

    Raises:
        ValueError: If the data set or the teacher's file is not there, or networks, data and objectives do not go
            together.
    """
    dataset = load_dataset(config.data)
    needs_teacher = any(method.needs_teacher for method, _ in active_objectives(config.objective).values())
    with initialisation(config.seed, "check"):
        student = build_model(config.student, dataset.num_classes, dataset.image_shape)
        shapes = measure_shapes(student, dataset.image_shape)
        teacher_shapes = shapes
        if needs_teacher:
            assert config.teacher is not None, "checked with the configuration"
            if config.teacher.checkpoint is not None:
                require_file(config.teacher.checkpoint)
            teacher = build_model(config.teacher, dataset.num_classes, dataset.image_shape)
            teacher_shapes = measure_shapes(teacher, dataset.image_shape)
        WeightedSum(config.objective, Setting(shapes, teacher_shapes, torch.tensor([0, 1]), config.seed))
