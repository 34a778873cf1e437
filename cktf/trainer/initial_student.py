"""The student in an initial phase, in which only its stages are trained."""

from typing import Self

from torch import Tensor, nn

from cktf.batch import Activations
from cktf.models import behind_stages, normalised_again
from cktf.objectives import InitialPhase


class InitialStudent(nn.Module):
    """A student whose layers after the last stage are frozen in eval mode, as published for AB and FSP.

    If preactivations are read, a wide ResNet's batch-norms run once more for them, as published: in train mode the
    running statistics of the trained ones move twice a step.

    Args:
        student: The network; not copied.
        initial: The initial phase that trains it.
    """

    def __init__(self, student: nn.Module, initial: InitialPhase) -> None:
        super().__init__()
        self.student = student
        self.reads_preactivations = initial.reads_preactivations
        self._resting = behind_stages(student)

    @property
    def trained(self) -> list[nn.Parameter]:
        """Parameters of the student that are trained."""
        resting = {id(parameter) for module in self._resting for parameter in module.parameters()}
        return [parameter for parameter in self.student.parameters() if id(parameter) not in resting]

    def forward(self, images: Tensor) -> Activations:
        """Return the student's activations of images (batch, channels, height, width)."""
        activations: Activations = self.student(images)
        return normalised_again(self.student, activations) if self.reads_preactivations else activations

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trained layers; those after the last stage stay in eval mode."""
        super().train(mode)
        for module in self._resting:
            module.eval()
        return self
