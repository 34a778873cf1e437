"""The weighted sum of a trial's objectives: the one place where weights are applied."""

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.objectives.objective import Setting
from cktf.objectives.registry import ChosenObjectives, active_objectives


class WeightedSum(nn.Module):
    """All active objectives of one trial, with their heads and banks.

    Args:
        config: Settings of each objective; those without a weight are not built.
        setting: What they are built for.
    """

    def __init__(self, config: ChosenObjectives, setting: Setting) -> None:
        super().__init__()
        self.objectives = nn.ModuleDict()
        self.weights: dict[str, float] = {}
        for name, (method, settings) in active_objectives(config).items():
            objective = method(settings, setting)
            self.objectives[name] = objective
            for term, factor in objective.term_weights.items():
                self.weights[f"{name}.{term}"] = settings.weight * factor

    def forward(
        self, student: Activations, teacher: Activations | None, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum to minimise, a scalar, and every unweighted term, detached.

        Terms are named ``objective.term``: ``kd.logits``, ``cktf.stage1``. All is computed in float32,
        whatever the networks' autocast is.
        """
        with torch.autocast(student.logits.device.type, enabled=False):
            terms = {
                f"{name}.{term}": value
                for name, objective in self.objectives.items()
                for term, value in objective(student, teacher, batch).items()
            }
            total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return total, {name: value.detach() for name, value in terms.items()}
