"""Objectives of knowledge transfer: one method a file, the parts they share, and their weighted sum."""

from cktf.objectives.objective import InitialPhase, Objective, ObjectiveSettings, Setting, TwoPhaseSettings
from cktf.objectives.registry import OBJECTIVES, ObjectivesConfig, active_objectives, needs_teacher
from cktf.objectives.weighted_sum import WeightedSum

__all__ = [
    "OBJECTIVES",
    "InitialPhase",
    "Objective",
    "ObjectiveSettings",
    "ObjectivesConfig",
    "Setting",
    "TwoPhaseSettings",
    "WeightedSum",
    "active_objectives",
    "needs_teacher",
]
