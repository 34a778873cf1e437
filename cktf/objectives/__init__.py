"""Objectives of knowledge transfer: one method a file, the parts they share, and their weighted sum."""

from cktf.objectives.objective import (
    BuildContext,
    InitialOnly,
    InitialOnlySettings,
    InitialPhase,
    Objective,
    ObjectiveSettings,
    TwoPhaseSettings,
    Weight,
)
from cktf.objectives.registry import (
    OBJECTIVES,
    ObjectivesConfig,
    active_objectives,
    extended_student,
    extends_student,
    needs_teacher,
)
from cktf.objectives.weighted_sum import WeightedSum

__all__ = [
    "OBJECTIVES",
    "BuildContext",
    "InitialOnly",
    "InitialOnlySettings",
    "InitialPhase",
    "Objective",
    "ObjectiveSettings",
    "ObjectivesConfig",
    "TwoPhaseSettings",
    "Weight",
    "WeightedSum",
    "active_objectives",
    "extended_student",
    "extends_student",
    "needs_teacher",
]
