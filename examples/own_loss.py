"""A loss of one's own: the student's features point where the teacher's do, as seen from the batch's mean."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext, Objective, ObjectiveSettings


class Directions(Objective):
    """Mean squared difference of the cosines between all samples' features of student and teacher."""

    class Config(ObjectiveSettings):
        """Settings, which a study writes under ``objective.directions``."""

        power: float = 1.0
        """Exponent of the cosines' differences."""

    def __init__(self, config: Config, context: BuildContext) -> None:
        super().__init__()
        self.power = config.power
        self.term_weights = {"cosines": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return the one term, a scalar."""
        difference = self.cosines(student.penultimate) - self.cosines(teacher.penultimate)
        return {"cosines": difference.abs().pow(self.power).mean()}

    def cosines(self, features: Tensor) -> Tensor:
        """Return (batch, batch) cosines of features (batch, channels), seen from their mean."""
        directions = functional.normalize(features - features.mean(dim=0), dim=1)
        return directions @ directions.T


OBJECTIVES = {"directions": Directions}
