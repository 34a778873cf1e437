"""Overhaul of feature distillation: Heo et al., ICCV 2019, arXiv 1904.01866."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.stages import paired_stages, require_preactivations

SMALLEST_PROBABILITY = 0.001
"""If a channel's values are negative with at most this probability, its margin is -3 standard deviations."""


def margins(batch_norm: nn.BatchNorm2d) -> Tensor:
    """Return the margin of each channel, (channels,), float32: the mean of its negative values.

    A channel of batch-norm's output x is taken as normal with mean mu = bias and deviation s = |weight|. Then
    E[x | x < 0] is mu - s phi(mu / s) / Phi(-mu / s) (Heo et al., 2019, arXiv 1904.01866, and the authors' code); where
    Phi(-mu / s) <= 0.001 it is -3 s.
    """
    mean = batch_norm.bias.detach().double()
    deviation = batch_norm.weight.detach().double().abs().clamp(min=1e-12)
    ratio = mean / deviation
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    probability = torch.special.ndtr(-ratio)
    usual = mean - deviation * density / probability.clamp(min=SMALLEST_PROBABILITY)
    return torch.where(probability > SMALLEST_PROBABILITY, usual, -3 * deviation).float()


def partial_distance(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Return the partial L2 distance to the teacher's margin ReLU, summed over the neurons, mean over the batch.

    With g = max(t, m), (s - g)^2 where t > 0 or s > g, else 0: a neuron that is as negative as the teacher's costs
    nothing ("distance function" of Heo et al., 2019, arXiv 1904.01866). s are the student's maps behind the connector
    and t the teacher's before the ReLU, (batch, channels, height, width), float32; m, (channels,), is not positive.
    """
    target = torch.maximum(teacher, margin[:, None, None])
    counts = (teacher > 0) | (student > target)
    return torch.where(counts, student - target, 0.0).square().sum() / len(student)


class OFD(FeatureObjective):
    """The student's maps before the ReLU follow the teacher's, whose values are cut off below a margin.

    Of L stages, stage k has the factor 2^(k - L). A connector of each stage, a convolution and batch-norm to the
    teacher's channels, is trained with the student. Teacher's maps of another size are brought to the student's: larger
    ones are averaged, the values of smaller ones repeated.

    Raises:
        ValueError: If a network has no preactivations, the teacher's batch-norms before them are not known, or the
            numbers of stages differ.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 0.001

        kernel_size: Literal[1, 3, 5] = 1
        """Side of the connectors' convolutions; published for CIFAR-100: 1."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        require_preactivations("ofd", given, "student", "teacher")
        batch_norms = given.teacher_layers.batch_norms
        stages = paired_stages(given, "objective.ofd.weight", equal=True)
        if [layer.num_features for layer in batch_norms] != [teacher[0] for _, teacher in stages.values()]:
            raise InputError(
                "objective.ofd: the margins come from the batch-norm before the ReLU at a stage's end, and none of "
                "teacher.model is known, as of the ShuffleNets; choose another one, or objective.ofd.weight: 0"
            )
        self.connectors = nn.ModuleDict()
        for (name, (student, teacher)), batch_norm in zip(stages.items(), batch_norms, strict=True):
            with seeding.initialisation(given.seed, "connector", "ofd", name):
                convolution = nn.Conv2d(student[0], teacher[0], config.kernel_size, padding="same", bias=False)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            self.connectors[name] = nn.Sequential(convolution, nn.BatchNorm2d(teacher[0]))
            # Computed from the teacher, which is not trained, so not in the state dict.
            self.register_buffer(f"margin_{name}", margins(batch_norm).cpu(), persistent=False)
        self.term_weights = {name: 2.0 ** (number - len(stages)) for number, name in enumerate(stages, start=1)}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        terms = {}
        stages = zip(self.connectors.items(), student.preactivations, teacher.preactivations, strict=True)
        for (name, connector), of_student, of_teacher in stages:
            connected = connector(of_student.float())
            target = functional.adaptive_avg_pool2d(of_teacher.float(), connected.shape[2:])
            terms[name] = partial_distance(connected, target, self.get_buffer(f"margin_{name}"))
        return terms
