"""A regressor from the student's map to the teacher's, which FitNet and AB train beside the student."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.errors import InputError


class ConvolutionalRegressor(nn.Module):
    """A convolution to the teacher's shape, batch-norm and, if ``relu``, a ReLU, as after the teacher's map.

    The convolution is as in the published comparison (Tian et al., 2020, arXiv 1910.10699): 3x3 with stride 2
    where the student's side is twice the teacher's, 4x4 transposed with stride 2 where it is half of it, else
    just large enough to leave the teacher's side, 1x1 for equal sides. Shapes are (channels, height, width); ``key`` is
    the path of the setting that chooses the maps, for the error message.

    Raises:
        ValueError: If no such convolution leads from the one height and width to the other.
    """

    def __init__(self, student: torch.Size, teacher: torch.Size, *, relu: bool, key: str) -> None:
        super().__init__()
        channels = student[0], teacher[0]
        sides = list(zip(student[1:], teacher[1:], strict=True))
        self.conv: nn.Module
        if all(own == 2 * other for own, other in sides):
            self.conv = nn.Conv2d(*channels, 3, stride=2, padding=1)
        elif all(2 * own == other for own, other in sides):
            self.conv = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1)
        elif all(own >= other for own, other in sides):
            self.conv = nn.Conv2d(*channels, (1 + student[1] - teacher[1], 1 + student[2] - teacher[2]))
        else:
            raise InputError(
                f"{key}: no regressor leads from the student's {tuple(student[1:])} positions to the teacher's "
                f"{tuple(teacher[1:])}; the student's map must be half as wide and high as the teacher's, or "
                "nowhere smaller"
            )
        self.bn = nn.BatchNorm2d(teacher[0])
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """Return the regressed maps, shaped as the teacher's, of the student's (batch, channels, height, width)."""
        regressed: Tensor = self.bn(self.conv(maps))
        return functional.relu(regressed) if self.relu else regressed
