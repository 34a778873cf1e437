"""The part of a configuration that affects training; arms that differ in nothing else train alike."""

from cktf.objectives import active_objectives
from cktf.trainer.config import TrialConfig


def acting(config: TrialConfig, *, is_measured: bool) -> TrialConfig:
    """Return a configuration without settings that have no effect.

    These are the settings of objectives with weight 0, and those of a teacher that no objective reads.

    Args:
        config: Configuration of an arm.
        is_measured: Whether health is measured, which reads the teacher of every arm that has one.
    """
    active = active_objectives(config.objective)
    names = type(config.objective).model_fields
    off = config.objective.model_copy(update={name: None for name in names if name not in active})
    # A transfer needs the teacher even if no objective reads it: its classes are the student's.
    keeps_teacher = config.runs_teacher(is_measured=is_measured) or config.task == "transfer"
    return config.model_copy(update={"objective": off} if keeps_teacher else {"objective": off, "teacher": None})
