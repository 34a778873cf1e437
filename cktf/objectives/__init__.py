"""Objectives of knowledge transfer: one method a file, the parts they share, and their weighted sum."""

from cktf.objectives.objective import BuildContext as BuildContext
from cktf.objectives.objective import InitialOnly as InitialOnly
from cktf.objectives.objective import InitialOnlySettings as InitialOnlySettings
from cktf.objectives.objective import InitialPhase as InitialPhase
from cktf.objectives.objective import Objective as Objective
from cktf.objectives.objective import ObjectiveSettings as ObjectiveSettings
from cktf.objectives.objective import TwoPhaseSettings as TwoPhaseSettings
from cktf.objectives.objective import Weight as Weight
from cktf.objectives.registry import OBJECTIVES as OBJECTIVES
from cktf.objectives.registry import ObjectivesConfig as ObjectivesConfig
from cktf.objectives.registry import active_objectives as active_objectives
from cktf.objectives.registry import extended_student as extended_student
from cktf.objectives.registry import extends_student as extends_student
from cktf.objectives.registry import needs_teacher as needs_teacher
from cktf.objectives.weighted_sum import WeightedSum as WeightedSum
