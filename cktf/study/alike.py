"""What a training reads of its configuration: arms that differ in nothing else train alike."""

from cktf.objectives import active_objectives
from cktf.trainer.config import TrialConfig


def acting(config: TrialConfig, *, is_measured: bool) -> TrialConfig:
    """Return a configuration without the settings that nothing reads.

    A weight of 0 switches an objective off, and its other settings with it; without an objective that reads the
    teacher, so are the teacher's.

    Args:
        config: Of an arm.
        is_measured: Whether the distillation's health is measured, which reads the teacher of every arm that has one.
    """
    active = active_objectives(config.objective)
    names = type(config.objective).model_fields
    off = config.objective.model_copy(update={name: None for name in names if name not in active})
    # The task needs a teacher only where it transfers: its classes are then the student's.
    keeps_teacher = config.runs_teacher(is_measured=is_measured) or config.task == "transfer"
    return config.model_copy(
        update={"objective": off} if keeps_teacher else {"objective": off, "teacher": None}
    )
