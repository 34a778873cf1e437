"""The student with the layers that objectives add to it."""

from torch import nn

from cktf.errors import InputError
from cktf.objectives.objective import BuildContext
from cktf.objectives.registry import ChosenObjectives, active_objectives


def extended_student(config: ChosenObjectives, student: nn.Module, given: BuildContext) -> nn.Module:
    """Return the network that is trained as the student (see `OptionalParts.extend_student`).

    Raises:
        InputError: If two methods extend it, or one that does meets an initial phase, which trains the stages alone.
    """
    active = active_objectives(config)
    extended, by = student, ""
    for name, (method, settings) in active.items():
        network = method.extend_student(settings, student, given)
        if network is student:
            continue
        if by:
            raise InputError(
                f"objective.{name}: changes the student's classifier, and so does objective.{by}; keep one"
            )
        extended, by = network, name
    with_phase = [name for name, (_, settings) in active.items() if settings.phase_epochs]
    if by and with_phase:
        raise InputError(
            f"objective.{by}: changes the student's classifier, which the initial phase of objective.{with_phase[0]} "
            "cannot train around; leave one of them out by weight: 0"
        )
    return extended
