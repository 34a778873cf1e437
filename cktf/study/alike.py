"""Arms that train alike: what sets them apart is read by nothing that is switched on."""

from collections.abc import Iterable

from cktf.objectives import active_objectives, needs_teacher
from cktf.study.designs import Arm
from cktf.trainer.config import TrialConfig


def arms_alike(arms: Iterable[Arm]) -> list[list[Arm]]:
    """Return groups of two arms or more, of one context, whose trainings differ in nothing but their names.

    A weight of 0 switches an objective off, and its other settings with it; without an objective that reads the
    teacher, so are the teacher's. Such arms are trained, for a grid may hold them rightly, but their difference says
    nothing, and whoever runs the study should know.
    """
    groups: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        groups.setdefault((arm.context, _acting(arm.config).arm_id), []).append(arm)
    return [group for group in groups.values() if len(group) > 1]


def _acting(config: TrialConfig) -> TrialConfig:
    """Return a configuration without the settings that nothing reads."""
    active = active_objectives(config.objective)
    names = type(config.objective).model_fields
    off = config.objective.model_copy(update={name: None for name in names if name not in active})
    # The task needs a teacher only where it transfers: its classes are then the student's.
    keeps_teacher = needs_teacher(config.objective) or config.task == "transfer"
    return config.model_copy(
        update={"objective": off} if keeps_teacher else {"objective": off, "teacher": None}
    )
