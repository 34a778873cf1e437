"""ShuffleNet with three groups and ShuffleNetV2, for small images, as the distillation papers use them.

Sources: Zhang et al. 2018, arXiv 1707.01083, figure 2 and table 1; Ma et al. 2018, arXiv 1807.11164, figure 3 and
table 5. In both the stem is one 1x1 convolution without pooling, and initial parameters are PyTorch's own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models.layers import classified, conv1x1, conv3x3, stage_of

_STEM = 24
"""Channels of the stem of both networks."""


class GroupedBlock(nn.Module):
    """A depthwise 3x3 convolution between two grouped 1x1 ones; returns the input of the last ReLU.

    With a stride of one the input is added. With a stride of two, the input's average over 3x3 pixels is appended, and
    the convolutions make the remaining channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        new_channels = out_channels - in_channels if stride == 2 else out_channels
        width = new_channels // 4
        self.stride = stride
        self.groups = 1 if in_channels == _STEM else 3  # the stem has too few channels to be grouped
        self.conv1 = conv1x1(in_channels, width, groups=self.groups)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride, groups=width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, new_channels, groups=3)
        self.bn3 = nn.BatchNorm2d(new_channels)

    def forward(self, features: Tensor) -> Tensor:
        residual = functional.relu(self.bn1(self.conv1(features)))
        residual = functional.channel_shuffle(residual, self.groups)
        residual = functional.relu(self.bn2(self.conv2(residual)))
        new: Tensor = self.bn3(self.conv3(residual))
        if self.stride == 1:
            return new + features
        return torch.cat([new, functional.avg_pool2d(features, 3, stride=2, padding=1)], 1)


class ShuffleNet(nn.Module):
    """Three stages of grouped blocks; each halves the side.

    Every representation is taken after its ReLU.
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = conv1x1(in_channels, _STEM)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.layer1 = stage_of(GroupedBlock, _STEM, 240, 4, stride=2)
        self.layer2 = stage_of(GroupedBlock, 240, 480, 8, stride=2)
        self.layer3 = stage_of(GroupedBlock, 480, 960, 4, stride=2)
        self.linear = nn.Linear(960, num_classes)

    def forward(self, images: Tensor) -> Activations:
        stem = functional.relu(self.bn1(self.conv1(images)))
        return classified(stem, (self.layer1, self.layer2, self.layer3), self.linear)


class SplitBlock(nn.Module):
    """Half of the channels pass as they are, half through a depthwise 3x3 convolution between two 1x1 ones.

    Returns both halves, shuffled, before the final ReLU. The left half already went through a ReLU, so applying it
    again is a no-op.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = conv1x1(half, half)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = conv3x3(half, half, groups=half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(half, half)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        left, right = features.chunk(2, dim=1)
        right = functional.relu(self.bn1(self.conv1(right)))
        right = self.bn3(self.conv3(self.bn2(self.conv2(right))))
        return functional.channel_shuffle(torch.cat([left, right], 1), 2)


class DownBlock(nn.Module):
    """Two branches of convolutions that halve the side; returns both, shuffled, before their ReLUs."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.conv1 = conv3x3(in_channels, in_channels, stride=2, groups=in_channels)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = conv1x1(in_channels, half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv1x1(in_channels, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = conv3x3(half, half, stride=2, groups=half)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv1x1(half, half)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        left = self.bn2(self.conv2(self.bn1(self.conv1(features))))
        right = functional.relu(self.bn3(self.conv3(features)))
        right = self.bn5(self.conv5(self.bn4(self.conv4(right))))
        return functional.channel_shuffle(torch.cat([left, right], 1), 2)


class ShuffleNetV2(nn.Module):
    """Three stages of split blocks, of which the first block halves the side, and a wide 1x1 convolution.

    Every representation is taken after its ReLU.
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()

        def block(in_width: int, width: int, stride: int) -> nn.Module:
            return SplitBlock(width) if stride == 1 else DownBlock(in_width, width)

        self.conv1 = conv1x1(in_channels, _STEM)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.layer1 = stage_of(block, _STEM, 116, 4, stride=2)
        self.layer2 = stage_of(block, 116, 232, 8, stride=2)
        self.layer3 = stage_of(block, 232, 464, 4, stride=2)
        self.conv2 = conv1x1(464, 1024)
        self.bn2 = nn.BatchNorm2d(1024)
        self.linear = nn.Linear(1024, num_classes)

    def forward(self, images: Tensor) -> Activations:
        stem = functional.relu(self.bn1(self.conv1(images)))
        stages = self.layer1, self.layer2, self.layer3
        return classified(stem, stages, self.linear, lambda maps: functional.relu(self.bn2(self.conv2(maps))))
