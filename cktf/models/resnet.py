"""Residual networks of three stages, and of four as for ImageNet, as the distillation papers use them.

Source: He et al. 2016, arXiv 1512.03385, section 4.2 and table 1. The distillation papers add projections on the
shortcuts, the wider "x4" networks, the blocks of one convolution and the ten layers of "ResNet10"; they put one 3x3
convolution in the place of the 7x7 convolution and pooling of ImageNet's stem.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models.layers import classified, conv1x1, conv3x3, initialise, scaled, shortcut, stage_of


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, an attribute of the name given; returns the sum before its ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, name_of_shortcut: str = "downsample"
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.name_of_shortcut = name_of_shortcut
        self.add_module(name_of_shortcut, shortcut(in_channels, out_channels, stride))

    def forward(self, features: Tensor) -> Tensor:
        residual = functional.relu(self.bn1(self.conv1(features)))
        preactivation: Tensor = self.bn2(self.conv2(residual)) + getattr(self, self.name_of_shortcut)(features)
        return preactivation


class SingleBlock(nn.Module):
    """One 3x3 convolution and a shortcut: the block of the networks of depth 5 and 17."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        preactivation: Tensor = self.bn1(self.conv1(features)) + self.downsample(features)
        return preactivation


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, plus a shortcut; returns the sum before its ReLU.

    The sum has four times the channels of the 3x3 convolution, which is also the one that has the stride.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = out_channels // 4
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = shortcut(in_channels, out_channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        residual = functional.relu(self.bn1(self.conv1(features)))
        residual = functional.relu(self.bn2(self.conv2(residual)))
        preactivation: Tensor = self.bn3(self.conv3(residual)) + self.shortcut(features)
        return preactivation


class ResNet(nn.Module):
    """Stages of residual blocks, ``layer1``, ``layer2``, ...; each but the first halves the side.

    Every representation is taken after its ReLU. ``num_blocks`` are those of each stage, ``widths`` the channels of the
    stem and of each stage, times ``scale``. ``classifier`` is the name of the last layer's attribute.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        num_blocks: Sequence[int],
        widths: Sequence[int] = (16, 16, 32, 64),
        block: Callable[[int, int, int], nn.Module] = BasicBlock,
        classifier: str = "fc",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        channels = [scaled(width, scale) for width in widths]
        self.conv1 = conv3x3(in_channels, channels[0])
        self.bn1 = nn.BatchNorm2d(channels[0])
        for number, ((before, after), num) in enumerate(zip(pairwise(channels), num_blocks, strict=True), start=1):
            self.add_module(f"layer{number}", stage_of(block, before, after, num, stride=1 if number == 1 else 2))
        initialise(self)
        self.name_of_classifier = classifier
        self.add_module(classifier, nn.Linear(channels[-1], num_classes))

    @property
    def stages(self) -> list[nn.Sequential]:
        """The stages, from the input to the output."""
        return [child for child in self.children() if isinstance(child, nn.Sequential)]

    def forward(self, images: Tensor) -> Activations:
        stem = functional.relu(self.bn1(self.conv1(images)))
        return classified(stem, self.stages, self.get_submodule(self.name_of_classifier))
