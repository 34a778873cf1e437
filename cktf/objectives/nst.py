"""Neuron selectivity transfer: Huang and Wang, 2017, arXiv 1707.01219."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.maps import shrink_to_smaller
from cktf.objectives.parts.stages import matched_stages, paired_stages


def selectivity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of the channels, mean over the batch; a scalar.

    The maps are (batch, channels, height, width), float32; if their sizes differ, the larger is shrunk. Every channel,
    flattened and L2-normalised, is a draw from its network's distribution of selectivity. With the kernel
    k(a, b) = (a . b)^2,

        mean k(s, s') + mean k(t, t') - 2 mean k(s, t)

    over all channels s, s' of the student and t, t' of the teacher (Huang and Wang, 2017, arXiv 1707.01219,
    section 4). This kernel's features are the products of two positions, hence the same number is the squared
    distance of their means over the channels; it is computed from whichever matrices are the smaller.
    """
    student, teacher = (functional.normalize(m.flatten(2), dim=2) for m in shrink_to_smaller(student, teacher))
    if student.shape[2] < max(student.shape[1], teacher.shape[1]):
        gap = student.mT @ student / student.shape[1] - teacher.mT @ teacher / teacher.shape[1]
        return gap.square().sum((1, 2)).mean()
    pairs = (student, student), (teacher, teacher), (student, teacher)
    of_student, of_teacher, across = ((first @ second.mT).square().mean() for first, second in pairs)
    return of_student + of_teacher - 2 * across


class NST(FeatureObjective):
    """Neuron selectivity transfer: the distributions of the channels' patterns of each stage are matched."""

    class Config(ObjectiveSettings):
        weight: Weight = 50.0

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.term_weights = dict.fromkeys(paired_stages(given, "objective.nst.weight"), 1.0)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        return {name: selectivity_loss(*maps) for name, maps in matched_stages(student, teacher)}
