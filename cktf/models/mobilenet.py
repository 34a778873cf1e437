"""MobileNetV2 at half width for small images, as the distillation papers use it.

Source: Sandler et al. 2018, arXiv 1801.04381, table 2, with ReLU in the place of ReLU6 and without the stride of
the second group.
"""

from functools import partial

from torch import Tensor, nn

from cktf.batch import Activations
from cktf.models.layers import conv1x1, conv3x3, global_average, initialise, stage_of

_GROUPS = (
    (1, 8, 1, 1),
    (6, 12, 2, 1),
    (6, 16, 3, 2),
    (6, 32, 4, 2),
    (6, 48, 3, 1),
    (6, 80, 3, 2),
    (6, 160, 1, 1),
)
"""Expansion, channels, number of blocks and first stride of each group of blocks; the paper's channels halved."""

STAGES = (1, 2, 4, 6)
"""Indices of the groups used as stages: the last group at each resolution."""


class InvertedResidual(nn.Module):
    """A depthwise 3x3 convolution between two 1x1 ones; the input is added if the output has its shape."""

    def __init__(self, expansion: int, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.is_residual = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            conv1x1(in_channels, width),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            conv3x3(width, width, stride, groups=width),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            conv1x1(width, out_channels),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.conv(features)
        return features + output if self.is_residual else output


class MobileNetV2(nn.Module):
    """A stem, seven groups of blocks and a wide 1x1 convolution; the stem and three groups halve the side.

    The last group at each resolution is a stage. The blocks of the other groups are no representations, since all
    blocks of a stage must have one shape. A block ends without a ReLU, so its output is also the preactivation.
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        width = 16  # channels that the next group reads
        self.conv1 = nn.Sequential(conv3x3(in_channels, width, stride=2), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.ModuleList()
        for expansion, channels, num_blocks, stride in _GROUPS:
            block = partial(InvertedResidual, expansion)
            self.blocks.append(stage_of(block, width, channels, num_blocks, stride))
            width = channels
        self.conv2 = nn.Sequential(conv1x1(width, 1280), nn.BatchNorm2d(1280), nn.ReLU())
        initialise(self)
        linear = nn.Linear(1280, num_classes)
        self.classifier = nn.Sequential(linear)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)

    def forward(self, images: Tensor) -> Activations:
        features = stem = self.conv1(images)
        groups = []
        for group in self.blocks:
            blocks = []
            for block in group.children():
                features = block(features)
                blocks.append(features)
            groups.append(tuple(blocks))
        stages = tuple(groups[number] for number in STAGES)
        preactivations = tuple(blocks[-1] for blocks in stages)
        pooled = self.conv2(features)
        penultimate = global_average(pooled)
        return Activations(self.classifier(penultimate), penultimate, stem, stages, preactivations, pooled=pooled)
