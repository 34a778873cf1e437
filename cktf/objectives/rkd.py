"""Relational knowledge distillation: Park et al., CVPR 2019, arXiv 1904.05068."""

import torch
from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Factor, FeatureObjective, ObjectiveSettings
from cktf.objectives.parts.stages import reading_of, require_known
from cktf.objectives.parts.workers import gather_with_gradient
from cktf.objectives.schedules import Ramp


def relative_distances(embeddings: Tensor) -> Tensor:
    """Return psi_D, (batch, batch): the samples' distances, divided by the mean of those above 0."""
    # Not by a matrix product, whose rounding errors exceed the distances of nearby vectors.
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    return distances / mean.clamp(min=1e-12)  # all 0 where all samples are equal


def angles(embeddings: Tensor) -> Tensor:
    """Return psi_A, (batch, batch, batch): the cosine of the angle at each sample between two; 0 if two are equal."""
    differences = embeddings.unsqueeze(0) - embeddings.unsqueeze(1)  # (vertex, other, features)
    norms = torch.linalg.vector_norm(differences, dim=2, keepdim=True)
    # Not by functional.normalize, whose gradient is 1e12 where two samples are equal.
    directions = differences / torch.where(norms > 0, norms, 1.0)
    return directions @ directions.mT


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Huber loss of the relative distances of vectors (batch, features), mean over all pairs; a scalar.

    L_RKD-D of Park et al. (2019, arXiv 1904.05068, section 3.2.1).
    """
    return functional.smooth_l1_loss(relative_distances(student), relative_distances(teacher))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Huber loss of the angles' cosines of vectors (batch, features), mean over all triplets; a scalar.

    L_RKD-A of Park et al. (2019, arXiv 1904.05068, section 3.2.2).
    """
    return functional.smooth_l1_loss(angles(student), angles(teacher))


class RKD(FeatureObjective):
    """Distances and angles between the samples' penultimate vectors match the teacher's.

    On several workers it compares the samples of the whole batch.
    """

    class Config(ObjectiveSettings):
        distance: Factor = 25.0
        """Factor of `distance_loss`."""

        angle: Factor = 50.0
        """Factor of `angle_loss`, whose memory grows with the cube of the batch."""

        @property
        def factors(self) -> dict[str, float | Ramp[float]]:
            return {"distance": self.distance, "angle": self.angle}

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        require_known("penultimate", given)
        self.term_weights = config.computed
        self.readings = (reading_of("penultimate", given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        losses = {"distance": distance_loss, "angle": angle_loss}
        vectors = [gather_with_gradient(side.penultimate.float(), batch) for side in (student, teacher)]
        return {name: losses[name](*vectors) for name in self.term_weights}
