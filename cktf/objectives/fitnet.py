"""FitNets: Romero et al., ICLR 2015, arXiv 1412.6550."""

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.regressor import ConvolutionalRegressor
from cktf.objectives.parts.stages import paired_maps


def hint_loss(guided: Tensor, hint: Tensor) -> Tensor:
    """Return the mean squared difference of the student's regressed map and the teacher's, a scalar.

    Both are (batch, channels, height, width), float32: r(v_g) and u_h in eq. 3 of Romero et al. (2015, arXiv
    1412.6550), where half the sum is taken.
    """
    return functional.mse_loss(guided, hint)


class FitNet(FeatureObjective):
    """A middle map of the student, through a regressor that is trained too, follows the teacher's map, the hint.

    As in the published comparisons the hint is part of the whole training, not of a phase before it.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 100.0

        stage: int = Field(default=2, ge=0)
        """Stage whose map is the hint: 0 the stem's, 1 the first stage's, 2 the second's, ..."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        pairs = paired_maps(given, "objective.fitnet.weight")
        stages = len(pairs) - 1
        if config.stage > stages:
            raise InputError(
                f"objective.fitnet.stage: {config.stage}, but there are {stages} stages; choose 0 (stem) to {stages}"
            )
        self.hint = list(pairs)[config.stage]
        self.from_end = config.stage - len(pairs) if config.stage else 0
        with seeding.initialisation(given.seed, "regressor", "fitnet", self.hint):
            self.regressor = ConvolutionalRegressor(*pairs[self.hint], relu=True, key="objective.fitnet.stage")
        self.term_weights = {self.hint: 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        sides = (student, teacher)
        of_student, of_teacher = (side.stages[self.from_end][-1] if self.from_end else side.stem for side in sides)
        return {self.hint: hint_loss(self.regressor(of_student.float()), of_teacher.float())}
