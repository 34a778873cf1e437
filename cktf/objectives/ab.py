"""Activation boundaries: Heo et al., AAAI 2019, arXiv 1811.03233."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, InitialOnly, InitialOnlySettings, InitialPhase
from cktf.objectives.parts.regressor import ConvolutionalRegressor
from cktf.objectives.parts.stages import paired_stages, require_preactivations


def boundary_loss(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Return the hinge loss of the neurons' signs, summed over the neurons, mean over the batch; a scalar.

    max(0, mu - s)^2 where the teacher's neuron is active (t > 0), max(0, mu + s)^2 where it is not, mu being the
    ``margin``: the alternative loss of Heo et al. (2019, arXiv 1811.03233, "Method"), since the count of neurons that
    differ in sign has no gradient. s (after the connector) and t are (batch, channels, height, width), float32.
    """
    signs = torch.where(teacher > 0, 1.0, -1.0)
    return functional.relu(margin - signs * student).square().sum() / len(student)


class BoundaryPhase(InitialPhase):
    """The initial phase of `AB`: the student's units are trained to be active where the teacher's are, without labels.

    Stage k of n has the factor 0.003 / 2^(n - k), as in the authors' code. Connectors lead from the student's maps to
    the teacher's shape, where the shapes differ.
    """

    trains_student = True

    def __init__(self, config: "AB.Config", given: BuildContext) -> None:
        super().__init__(config)
        self.margin = config.margin
        self.reads_preactivations = config.maps == "preactivation"
        self.connectors = nn.ModuleDict()
        if self.reads_preactivations:
            require_preactivations("ab", given, "student", "teacher", remedy="objective.ab.maps: activation, ")
        for name, (student_shape, teacher_shape) in paired_stages(given, "objective.ab.weight", equal=True).items():
            self.connectors[name] = nn.Identity()
            if student_shape != teacher_shape:
                with seeding.initialisation(given.seed, "connector", "ab", name):
                    self.connectors[name] = ConvolutionalRegressor(
                        student_shape, teacher_shape, relu=False, key="objective.ab.weight"
                    )
        last = len(self.connectors)
        self.term_weights = {name: 0.003 * 2.0 ** (k - last) for k, name in enumerate(self.connectors, start=1)}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        maps = (
            side.preactivations if self.reads_preactivations else [blocks[-1] for blocks in side.stages]
            for side in (student, teacher)
        )
        return {
            name: boundary_loss(connector(of_student.float()), of_teacher.float(), self.margin)
            for (name, connector), of_student, of_teacher in zip(self.connectors.items(), *maps, strict=True)
        }


class AB(InitialOnly):
    """Activation boundaries: an initial phase in which the student learns which units the teacher activates."""

    reads_logits = False

    class Config(InitialOnlySettings):
        margin: float = Field(default=1.0, gt=0)
        """mu: a pre-activation with the sign of the teacher's adds no loss if its absolute value is mu or more."""

        maps: Literal["preactivation", "activation"] = "preactivation"
        """Map at the end of a stage that is compared: `preactivation`, the input of its ReLU, as in the method's paper
        and in the comparisons on CIFAR-100; `activation`, the last block's output, which for a VGG is after the ReLU,
        as published by CKTF for Tiny-ImageNet."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.initial = BoundaryPhase(config, given)
