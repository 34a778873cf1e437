"""Find out before a study starts what would fail every one of its trials."""

import torch

from cktf.data import TrainLoader, load_dataset, split
from cktf.models import build_model, measure_shapes
from cktf.objectives import Setting, WeightedSum, needs_teacher
from cktf.seeding import initialisation
from cktf.trainer.config import TrialConfig
from cktf.trainer.teacher_cache import build_teacher


def check_trial(config: TrialConfig, workers: int = 1) -> None:
    """Build on the CPU all that a trial is made of, with memory banks of two samples.

    Raises:
        ValueError: If the data set or the teacher's file is not there, or networks, data, batches and objectives do
            not go together.
    """
    dataset = load_dataset(config.data)
    parts = split(dataset.train_labels, config.data, config.seed)
    TrainLoader(
        dataset,
        parts.train_index,
        config.augmentation,
        batch_size=config.batch_size,
        seed=config.seed,
        world_size=workers,
    )
    with initialisation(config.seed, "student"):
        student = build_model(config.student, dataset.num_classes, dataset.image_shape)
    student_shapes = teacher_shapes = measure_shapes(student, dataset.image_shape)
    if needs_teacher(config.objective):
        assert config.teacher is not None, "checked with the configuration"
        teacher_shapes = measure_shapes(build_teacher(config.teacher, dataset), dataset.image_shape)
    WeightedSum(config.objective, Setting(student_shapes, teacher_shapes, torch.tensor([0, 1]), config.seed))
