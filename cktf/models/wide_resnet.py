"""Wide residual networks, as the distillation papers use them.

Source: Zagoruyko and Komodakis 2016, arXiv 1605.07146, section 2.
"""

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models.layers import conv1x1, conv3x3, global_average, initialise, scaled, stage_of


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each after batch-norm and ReLU, and a shortcut; gives the plain sum."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        projects = stride != 1 or in_channels != out_channels
        self.convShortcut = conv1x1(in_channels, out_channels, stride) if projects else None

    def forward(self, features: Tensor, normalised: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height / stride, width / stride).

        ``normalised`` is ``bn1`` of the features. It is given, since it is also the preactivation of the stage that
        ends before this block, and a batch-norm that ran twice would move its statistics twice.
        """
        activated = functional.relu(normalised)
        residual: Tensor = self.conv2(functional.relu(self.bn2(self.conv1(activated))))
        # The projection reads the activated input, the identity the plain one.
        return residual + (features if self.convShortcut is None else self.convShortcut(activated))


class Stage(nn.Module):
    """The blocks of one stage, under the name that the shared checkpoints give them."""

    def __init__(self, num_blocks: int, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.layer = stage_of(PreActivationBlock, in_channels, out_channels, num_blocks, stride)


class WideResNet(nn.Module):
    """Three stages of pre-activation blocks; the second and the third halve the side.

    The stem and the blocks' outputs are taken before any batch-norm or ReLU; a stage's preactivation is its last
    block's output after the batch-norm that reads it; the penultimate vector is the mean of the last preactivation's
    ReLU.

    ``depth`` counts the layers as the paper does: 4 + 6 x blocks of a stage; ``width`` is a factor of the stages' 16,
    32 and 64 channels, ``scale`` a factor of all channels, including the stem's 16.
    """

    def __init__(self, num_classes: int, in_channels: int, *, depth: int, width: int, scale: float = 1.0) -> None:
        super().__init__()
        num_blocks = (depth - 4) // 6
        stem, first, second, third = (scaled(channels, scale) for channels in (16, 16 * width, 32 * width, 64 * width))
        self.conv1 = conv3x3(in_channels, stem)
        self.block1 = Stage(num_blocks, stem, first, stride=1)
        self.block2 = Stage(num_blocks, first, second, stride=2)
        self.block3 = Stage(num_blocks, second, third, stride=2)
        self.bn1 = nn.BatchNorm2d(third)
        initialise(self)
        self.fc = nn.Linear(third, num_classes)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Activations:
        stem = self.conv1(images)
        stages = (self.block1.layer, self.block2.layer, self.block3.layer)
        batch_norms = iter([*(block.get_submodule("bn1") for stage in stages for block in stage), self.bn1])
        features, normalised = stem, next(batch_norms)(stem)
        outputs, preactivations = [], []
        for stage in stages:
            blocks = []
            for block in stage:
                features = block(features, normalised)
                normalised = next(batch_norms)(features)
                blocks.append(features)
            outputs.append(tuple(blocks))
            preactivations.append(normalised)
        penultimate = global_average(functional.relu(normalised))
        return Activations(self.fc(penultimate), penultimate, stem, tuple(outputs), tuple(preactivations))

    def readers(self) -> tuple[nn.BatchNorm2d, ...]:
        """Return the batch-norm that reads each stage: the next stage's first, and for the last stage ``bn1``."""
        found = [stage.layer[0].get_submodule("bn1") for stage in (self.block2, self.block3)]
        return tuple(layer for layer in (*found, self.bn1) if isinstance(layer, nn.BatchNorm2d))
