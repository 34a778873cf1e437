"""Knowledge distillation from a stronger teacher: Huang et al., NeurIPS 2022, arXiv 2205.10536."""

import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Factor, Objective, ObjectiveSettings, Weight
from cktf.objectives.parts.stages import reading_of
from cktf.objectives.parts.workers import gather_with_gradient
from cktf.objectives.schedules import LogitTemperature, Ramp, value_of


def correlations(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation of each row of one matrix (rows, values) with the same row of another: (rows,)."""
    first, second = (rows - rows.mean(1, keepdim=True) for rows in (first, second))
    norms = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
    correlated: Tensor = (first * second).sum(1) / (norms + 1e-8)  # as published
    return correlated


def relational_losses(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Return the inter-class and the intra-class loss, each times tau^2; two scalars.

    Each is 1 - the mean correlation of the student's and the teacher's softmax of logits (batch, classes), float32, at
    temperature tau: over the rows, each sample's classes (L_inter of Huang et al., 2022, arXiv 2205.10536), and over
    the columns, each class's samples (L_intra).
    """
    student, teacher = (torch.softmax(logits / temperature, dim=1) for logits in (student_logits, teacher_logits))
    inter = 1 - correlations(student, teacher).mean()
    intra = 1 - correlations(student.T, teacher.T).mean()
    return temperature**2 * inter, temperature**2 * intra


class DIST(Objective):
    """The student's predictions correlate with the teacher's, within samples and within classes.

    beta * inter + gamma * intra (see `relational_losses`). On several workers the classes are compared over the whole
    batch.
    """

    reads_features = False

    class Config(ObjectiveSettings):
        weight: Weight = 2.0

        beta: Factor = 1.0
        """Factor of the inter-class loss."""

        gamma: Factor = 1.0
        """Factor of the intra-class loss."""

        temperature: LogitTemperature = 4.0
        """tau: both networks' logits are divided by it. Published: 4 for CIFAR-100, 1 for ImageNet."""

        @property
        def factors(self) -> dict[str, float | Ramp[float]]:
            return {"inter": self.beta, "intra": self.gamma}

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.temperature = value_of(config.temperature)
        self.term_weights = config.computed
        self.readings = (reading_of("logits", given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        of_student, of_teacher = (gather_with_gradient(side.logits.float(), batch) for side in (student, teacher))
        inter, intra = relational_losses(of_student, of_teacher, self.temperature())
        terms = {"inter": inter, "intra": intra}
        return {name: terms[name] for name in self.term_weights}
