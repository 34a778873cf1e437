"""Similarity-preserving knowledge distillation: Tung and Mori, ICCV 2019, arXiv 1907.09682."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.stages import require_known
from cktf.objectives.parts.workers import gather_with_gradient


def similarities(maps: Tensor) -> Tensor:
    """Return the samples' similarities, (batch, batch): the Gram matrix of the flattened maps, rows of L2 norm 1."""
    flat = maps.flatten(1)
    return functional.normalize(flat @ flat.T, dim=1)


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return ||G_T - G_S||_F^2 / batch^2, a scalar (Tung and Mori, 2019, arXiv 1907.09682, eq. 3).

    G_S and G_T are the `similarities` of both sides' maps (batch, ...), float32.
    """
    return functional.mse_loss(similarities(student), similarities(teacher))


class SP(FeatureObjective):
    """Samples whose maps are similar in the teacher's last stage are similar in the student's.

    On several workers it compares the samples of the whole batch.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 3000.0

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        require_known("stages", given)
        self.term_weights = {"last_stage": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        maps = (gather_with_gradient(side.stages[-1][-1].float(), batch) for side in (student, teacher))
        return {"last_stage": similarity_loss(*maps)}
