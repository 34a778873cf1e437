"""Flow of solution procedure: Yim et al., CVPR 2017."""

from itertools import pairwise

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext, InitialOnly, InitialOnlySettings, InitialPhase, Weight
from cktf.objectives.parts.maps import shrink_to_smaller
from cktf.objectives.parts.stages import last_maps, paired_maps


def flow(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the products of two layers' channels, mean over the positions: (batch, lower channels, upper channels).

    G of eq. 1 of Yim et al. (2017), for maps (batch, channels, height, width), float32; if their sizes differ, the
    larger is shrunk.
    """
    lower, upper = shrink_to_smaller(lower, upper)
    return lower.flatten(2) @ upper.flatten(2).mT / (lower.shape[2] * lower.shape[3])


def flow_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of two flows of one shape, a scalar: eq. 2 of Yim et al. (2017), as a mean."""
    return functional.mse_loss(student, teacher)


class FlowPhase(InitialPhase):
    """The student learns the teacher's flows: from the stem to the first stage, and from each stage to the next."""

    trains_student = True

    def __init__(self, config: "FSP.Config", given: BuildContext) -> None:
        super().__init__(config)
        pairs = paired_maps(given, "objective.fsp.weight", equal=True)
        for name, ((channels, *_), (others, *_)) in pairs.items():
            if channels != others:
                raise InputError(
                    f"objective.fsp.weight: channels are compared one by one, but the student has {channels} of {name} "
                    f"and the teacher {others}; choose networks of equal width, or weight: 0"
                )
        self.term_weights = {name: 1.0 for name in pairs if name != "stem"}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        of_student, of_teacher = (
            [flow(lower.float(), upper.float()) for lower, upper in pairwise(last_maps(side).values())]
            for side in (student, teacher)
        )
        flows = zip(self.term_weights, of_student, of_teacher, strict=True)
        return {name: flow_loss(own, other) for name, own, other in flows}


class FSP(InitialOnly):
    """Flow of solution procedure: an initial phase in which the student learns the teacher's flows between layers."""

    reads_logits = False

    class Config(InitialOnlySettings):
        weight: Weight = 50.0

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.initial = FlowPhase(config, given)
