"""An objective: a study names this file under ``plugins:``, and ``objective: {directions: {weight: 1}}``."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext, Objective, ObjectiveSettings


class Directions(Objective):
    """Mean difference between student and teacher of the cosines between a batch's samples, about their mean."""

    class Config(ObjectiveSettings):
        """Settings, beside the ``weight`` that every objective has."""

        power: float = 2.0
        """Exponent of the cosines' differences."""

    def __init__(self, config: Config, context: BuildContext) -> None:
        super().__init__()
        self.power = config.power
        self.term_weights = {"cosines": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the terms, unweighted scalars."""
        difference = _cosines(student.penultimate) - _cosines(teacher.penultimate)
        return {"cosines": difference.abs().pow(self.power).mean()}


def _cosines(features: Tensor) -> Tensor:
    """Return (batch, batch) cosines of features (batch, channels)."""
    directions = functional.normalize(features.float() - features.float().mean(dim=0), dim=1)
    return directions @ directions.T


OBJECTIVES = {"directions": Directions}
