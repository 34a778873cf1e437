"""Neuron selectivity transfer: Huang and Wang, 2017, arXiv 1707.01219."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings, Weight
from cktf.objectives.parts.maps import shrink_to_smaller
from cktf.objectives.parts.stages import last_maps, paired_stages


def selectivity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of the channels, mean over the batch; a scalar.

    Every channel, flattened and L2-normalised, is a draw from its network's distribution of selectivity. With
    the kernel k(a, b) = (a . b)^2,

        mean k(s, s') + mean k(t, t') - 2 mean k(s, t)

    over all channels s, s' of the student and t, t' of the teacher (Huang and Wang, 2017, arXiv 1707.01219,
    section 4). This kernel's features are the products of two positions, hence the same number is the squared
    distance of their means over the channels; it is computed from whichever matrices are the smaller.

    Args:
        student: (batch, student channels, height, width), float32.
        teacher: (batch, teacher channels, height, width), float32. Maps of unequal size are compared at the
            smaller one.
    """
    student, teacher = shrink_to_smaller(student, teacher)
    student = functional.normalize(student.flatten(2), dim=2)  # (batch, channels, positions)
    teacher = functional.normalize(teacher.flatten(2), dim=2)
    if student.shape[2] < max(student.shape[1], teacher.shape[1]):
        gap = student.mT @ student / student.shape[1] - teacher.mT @ teacher / teacher.shape[1]
        return gap.square().sum((1, 2)).mean()
    own = mean_kernel(student, student) + mean_kernel(teacher, teacher)
    return own - 2 * mean_kernel(student, teacher)


def mean_kernel(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean over the batch and all pairs of channels of (a . b)^2, a scalar.

    Args:
        first: (batch, channels, positions): the a.
        second: (batch, channels, positions): the b.
    """
    return (first @ second.mT).square().mean()


class NST(Objective):
    """Each stage's channels are selective as the teacher's are (see `selectivity_loss`)."""

    class Config(ObjectiveSettings):
        """Settings of `NST`."""

        weight: Weight = 50.0

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.term_weights = dict.fromkeys(paired_stages(given, "objective.nst.weight"), 1.0)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``stage1``, ``stage2``, ...: a scalar each."""
        student_maps, teacher_maps = last_maps(student), last_maps(teacher)
        return {
            name: selectivity_loss(student_maps[name].float(), teacher_maps[name].float()) for name in self.term_weights
        }
