"""Residual networks for small images, as the distillation papers use them.

Source: He et al. 2016, arXiv 1512.03385, section 4.2; the distillation papers add projections on the
shortcuts, the wider "x4" networks and the blocks of one convolution. Attribute names and their order are
those of the checkpoints that the distillation literature shares.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models.layers import classified, conv3x3, initialise, scaled, shortcut, stage_of


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; gives the sum before its ReLU."""

    num_convolutions: ClassVar[int] = 2
    name_of_shortcut: ClassVar[str] = "downsample"

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.add_module(self.name_of_shortcut, shortcut(in_channels, out_channels, stride))

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height / stride, width / stride)."""
        residual = functional.relu(self.bn1(self.conv1(features)))
        preactivation: Tensor = self.bn2(self.conv2(residual)) + getattr(self, self.name_of_shortcut)(features)
        return preactivation


class SingleBlock(nn.Module):
    """One 3x3 convolution and a shortcut: the block of the networks of depth 5 and 17."""

    num_convolutions: ClassVar[int] = 1

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height / stride, width / stride)."""
        preactivation: Tensor = self.bn1(self.conv1(features)) + self.downsample(features)
        return preactivation


class ResNet(nn.Module):
    """Three stages of residual blocks; the second and the third halve the side.

    Every representation is taken after its ReLU. ``depth`` counts the layers with weights, except shortcuts: 2 + 3 x
    blocks of a stage x convolutions of a block. ``widths`` are the channels of the stem and of the stages, times
    ``scale``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        depth: int,
        widths: tuple[int, int, int, int] = (16, 16, 32, 64),
        block: type[BasicBlock] | type[SingleBlock] = BasicBlock,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        channels = [scaled(width, scale) for width in widths]
        num_blocks, remainder = divmod(depth - 2, 3 * block.num_convolutions)
        assert remainder == 0, f"no three equal stages make a depth of {depth}"
        self.conv1 = conv3x3(in_channels, channels[0])
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.layer1 = stage_of(block, channels[0], channels[1], num_blocks, stride=1)
        self.layer2 = stage_of(block, channels[1], channels[2], num_blocks, stride=2)
        self.layer3 = stage_of(block, channels[2], channels[3], num_blocks, stride=2)
        initialise(self)
        self.fc = nn.Linear(channels[3], num_classes)

    def forward(self, images: Tensor) -> Activations:
        """Return the activations of images (batch, channels, height, width)."""
        stem = functional.relu(self.bn1(self.conv1(images)))
        return classified(stem, (self.layer1, self.layer2, self.layer3), self.fc)
