"""Probabilistic knowledge transfer: Passalis and Tefas, ECCV 2018, arXiv 1803.10837."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.stages import reading_of, require_known
from cktf.objectives.parts.workers import gather_with_gradient

_SMALLEST = 1e-7
"""Number added to probabilities before their logarithm, and smallest norm to divide by, as published."""


def neighbour_probabilities(embeddings: Tensor) -> Tensor:
    """Return each sample's distribution over its neighbours, (batch, batch): (cosine + 1) / 2, rows scaled to sum 1."""
    directions = functional.normalize(embeddings, dim=1, eps=_SMALLEST)
    affinities = (directions @ directions.T + 1) / 2
    return affinities / affinities.sum(1, keepdim=True)


def neighbour_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return p log(p / q) of vectors (batch, features), float32, mean over all pairs of samples; a scalar, in nats.

    p are the teacher's `neighbour_probabilities`, q the student's: the KL divergence of Passalis and Tefas
    (2018, arXiv 1803.10837, section 3) with their cosine kernel, divided by batch^2.
    """
    q, p = neighbour_probabilities(student), neighbour_probabilities(teacher)
    return (p * ((p + _SMALLEST) / (q + _SMALLEST)).log()).mean()


class PKT(FeatureObjective):
    """Probabilistic knowledge transfer: pairs of samples are as similar for the student as for the teacher.

    On several workers it compares the samples of the whole batch.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 30000.0

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        require_known("penultimate", given)
        self.term_weights = {"penultimate": 1.0}
        self.readings = (reading_of("penultimate", given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        features = (gather_with_gradient(side.penultimate.float(), batch) for side in (student, teacher))
        return {"penultimate": neighbour_divergence(*features)}
