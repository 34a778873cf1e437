"""Objectives of knowledge transfer: one method a file, the parts they share, and their weighted sum."""

from cktf.objectives.objective import Objective, ObjectiveSettings, Setting
from cktf.objectives.registry import OBJECTIVES, ObjectivesConfig, active_objectives, needs_teacher
from cktf.objectives.weighted_sum import WeightedSum

__all__ = [
    "OBJECTIVES",
    "Objective",
    "ObjectiveSettings",
    "ObjectivesConfig",
    "Setting",
    "WeightedSum",
    "active_objectives",
    "needs_teacher",
]
