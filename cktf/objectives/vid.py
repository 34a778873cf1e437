"""Variational information distillation: Ahn et al., CVPR 2019, arXiv 1904.05835."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings
from cktf.objectives.parts.maps import shrink_to_smaller
from cktf.objectives.parts.stages import matched_stages, paired_stages


def negative_log_likelihood(mean: Tensor, variance: Tensor, teacher: Tensor) -> Tensor:
    """Return ((t - mu)^2 / sigma^2 + log sigma^2) / 2, mean over all; a scalar.

    -log q(t | s) of a Gaussian without its constant, which bounds the mutual information of the two maps
    (Ahn et al., 2019, arXiv 1904.05835, section 2). ``mean`` is mu, the teacher's map t as it is predicted from the
    student's: both (batch, channels, height, width), float32. ``variance`` is sigma^2, (channels,).
    """
    variance = variance.view(-1, 1, 1)  # (channels, 1, 1): the same at every position
    return ((mean - teacher).square() / variance + variance.log()).mean() / 2


class GaussianRegressor(nn.Module):
    """q(t | s): three 1x1 convolutions give the mean, one parameter for each channel the variance."""

    def __init__(
        self, student_channels: int, teacher_channels: int, initial_variance: float, smallest_variance: float
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(student_channels, teacher_channels, 1, bias=False)]
        for _ in range(2):
            layers += [nn.ReLU(), nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False)]
        self.regressor = nn.Sequential(*layers)
        self.smallest_variance = smallest_variance
        # The inverse of the softplus in forward.
        scale = math.log(math.expm1(initial_variance - smallest_variance))
        self.log_scale = nn.Parameter(torch.full((teacher_channels,), scale))

    def forward(self, student: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (batch, teacher channels, height, width) and variance (teacher channels,)."""
        return self.regressor(student), functional.softplus(self.log_scale) + self.smallest_variance


class VID(FeatureObjective):
    """Variational information distillation: each stage of the student predicts the teacher's.

    Maps of unequal size are compared at the smaller one. The regressors are trained with the student.
    """

    class Config(ObjectiveSettings):
        initial_variance: float = Field(default=5.0, ge=0.1, le=100)
        """sigma^2 of every channel before training."""

        smallest_variance: float = Field(default=1e-5, gt=0, lt=0.1)
        """Lower bound of sigma^2: added to its trained part."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.regressors = nn.ModuleDict()
        for name, (student, teacher) in paired_stages(given, "objective.vid.weight").items():
            with seeding.initialisation(given.seed, "regressor", "vid", name):
                self.regressors[name] = GaussianRegressor(
                    student[0], teacher[0], config.initial_variance, config.smallest_variance
                )
        self.term_weights = dict.fromkeys(self.regressors, 1.0)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``stage1``, ``stage2``, ...: a scalar each, in nats."""
        terms = {}
        for name, maps in matched_stages(student, teacher):
            read, predicted = shrink_to_smaller(*maps)
            mean, variance = self.regressors[name](read)
            terms[name] = negative_log_likelihood(mean, variance, predicted)
        return terms
