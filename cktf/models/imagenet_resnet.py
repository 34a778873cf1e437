"""Residual networks of four stages as for ImageNet, with a stem for small images.

Source: He et al. 2016, arXiv 1512.03385, table 1 (and ten layers, one block a stage); the distillation papers
put one 3x3 convolution in the place of the stem's 7x7 convolution and pooling. Attribute names and their order
are those of the checkpoints that the distillation literature shares.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models import resnet
from cktf.models.layers import classified, conv1x1, conv3x3, initialise, shortcut, stage_of


class BasicBlock(resnet.BasicBlock):
    """The residual block of two convolutions, with its shortcut under another name."""

    expansion: ClassVar[int] = 1
    name_of_shortcut: ClassVar[str] = "shortcut"


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, plus a shortcut; returns the sum before its ReLU.

    The sum has four times the channels of the 3x3 convolution, which is also the one that has the stride.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = out_channels // self.expansion
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height / stride, width / stride)."""
        residual = functional.relu(self.bn1(self.conv1(features)))
        residual = functional.relu(self.bn2(self.conv2(residual)))
        preactivation: Tensor = self.bn3(self.conv3(residual)) + self.shortcut(features)
        return preactivation


class ImageNetResNet(nn.Module):
    """Four stages of residual blocks; each but the first halves the side.

    Every representation is taken after its ReLU.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        num_blocks: tuple[int, int, int, int],
        block: type[BasicBlock] | type[Bottleneck],
    ) -> None:
        super().__init__()
        first, second, third, fourth = (width * block.expansion for width in (64, 128, 256, 512))
        self.conv1 = conv3x3(in_channels, 64)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage_of(block, 64, first, num_blocks[0], stride=1)
        self.layer2 = stage_of(block, first, second, num_blocks[1], stride=2)
        self.layer3 = stage_of(block, second, third, num_blocks[2], stride=2)
        self.layer4 = stage_of(block, third, fourth, num_blocks[3], stride=2)
        initialise(self)
        self.linear = nn.Linear(fourth, num_classes)

    def forward(self, images: Tensor) -> Activations:
        """Return the activations of images (batch, channels, height, width)."""
        stem = functional.relu(self.bn1(self.conv1(images)))
        return classified(stem, (self.layer1, self.layer2, self.layer3, self.layer4), self.linear)
