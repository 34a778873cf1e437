"""Attention transfer: Zagoruyko and Komodakis, ICLR 2017, arXiv 1612.03928."""

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.maps import attention, shrink_to_smaller
from cktf.objectives.parts.stages import matched_stages, paired_stages


def attention_loss(student: Tensor, teacher: Tensor, power: int) -> Tensor:
    """Return the mean squared difference of the attention of two maps (batch, channels, height, width), a scalar.

    Attention is F(A) = sum over channels of A^p, here a mean, divided by its L2 norm over the positions; p is
    ``power``. The loss is eq. 2 of Zagoruyko and Komodakis (2017, arXiv 1612.03928), as a mean of squares where they
    take the norm. The maps are float32; if their sizes differ, the larger is shrunk.
    """
    student, teacher = shrink_to_smaller(student, teacher)
    return functional.mse_loss(attention(student, power), attention(teacher, power))


class AT(FeatureObjective):
    """Attention transfer: the student's attention map of each stage is pulled to the teacher's (`attention_loss`)."""

    class Config(ObjectiveSettings):
        weight: Weight = 1000.0

        power: int = Field(default=2, ge=1, le=8)
        """p: a larger power gives the most active positions more weight."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.power = config.power
        self.term_weights = dict.fromkeys(paired_stages(given, "objective.at.weight"), 1.0)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        return {name: attention_loss(*maps, self.power) for name, maps in matched_stages(student, teacher)}
