"""Objectives of knowledge transfer: one method a file, the parts they share, and their weighted sum."""

from cktf.objectives.objective import Given, InitialPhase, Objective, ObjectiveSettings, TwoPhaseSettings
from cktf.objectives.registry import OBJECTIVES, ObjectivesConfig, active_objectives, needs_teacher
from cktf.objectives.weighted_sum import WeightedSum

__all__ = [
    "OBJECTIVES",
    "Given",
    "InitialPhase",
    "Objective",
    "ObjectiveSettings",
    "ObjectivesConfig",
    "TwoPhaseSettings",
    "WeightedSum",
    "active_objectives",
    "needs_teacher",
]
