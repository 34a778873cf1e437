"""The student of an initial phase, whose stages alone are trained."""

from typing import Self

from torch import Tensor, nn

from cktf.batch import Activations
from cktf.models import behind_stages, normalised_again
from cktf.objectives import InitialPhase


class InitialStudent(nn.Module):
    """A student of which all that lies behind its last stage stays as it is, in eval mode, as published for AB and FSP.

    Where preactivations are read, a wide ResNet's batch-norms run once more for them, as published: in train mode the
    running statistics of those that are trained move twice a step.

    Args:
        student: The network; kept, not copied.
        initial: The phase that trains it.
    """

    def __init__(self, student: nn.Module, initial: InitialPhase) -> None:
        super().__init__()
        self.student = student
        self.reads_preactivations = initial.reads_preactivations
        self._resting = behind_stages(student)

    @property
    def trained(self) -> list[nn.Parameter]:
        """What is trained of the student."""
        resting = {id(parameter) for module in self._resting for parameter in module.parameters()}
        return [parameter for parameter in self.student.parameters() if id(parameter) not in resting]

    def forward(self, images: Tensor) -> Activations:
        """Return the student's activations of images (batch, channels, height, width)."""
        activations: Activations = self.student(images)
        return normalised_again(self.student, activations) if self.reads_preactivations else activations

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; what lies behind the stages stays in eval mode."""
        super().train(mode)
        for module in self._resting:
            module.eval()
        return self
