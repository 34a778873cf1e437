"""Correlation congruence: Peng et al., ICCV 2019, arXiv 1904.01802."""

from pydantic import Field
from torch import Tensor, nn

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.stages import reading_of
from cktf.objectives.parts.workers import gather_with_gradient


def correlation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return |s_i - t_i| . |s_{i+1} - t_{i+1}|, mean over the neighbours i, i+1 of a batch; a scalar.

    s and t are embeddings (batch, dim), float32. Peng et al. (2019, arXiv 1904.01802, section 3) compare all
    correlations of a batch. The published comparisons (Tian et al., 2020, arXiv 1910.10699) run this form, from the
    authors' own code.
    """
    gaps = (student - teacher).abs()
    return (gaps[:-1] * gaps[1:]).sum(1).mean()


class CC(FeatureObjective):
    """Correlation congruence of linear embeddings of both penultimate vectors (see `correlation_loss`).

    On several workers it compares the samples of the whole batch. Both embeddings are trained with the student.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 0.02

        dim: int = Field(default=128, ge=1, le=65_536)
        """Dimensions of the embeddings."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        with seeding.initialisation(given.seed, "embedding", "cc", "student"):
            self.student = nn.Linear(given.student.penultimate.numel(), config.dim)
        with seeding.initialisation(given.seed, "embedding", "cc", "teacher"):
            self.teacher = nn.Linear(given.teacher.penultimate.numel(), config.dim)
        self.term_weights = {"penultimate": 1.0}
        self.readings = (reading_of("penultimate", given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        of_student = self.student(student.penultimate.float())
        of_teacher = self.teacher(teacher.penultimate.float())
        embeddings = (gather_with_gradient(side, batch) for side in (of_student, of_teacher))
        return {"penultimate": correlation_loss(*embeddings)}
