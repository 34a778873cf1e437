"""Wide residual networks, as the distillation papers use them.

Source: Zagoruyko and Komodakis 2016, arXiv 1605.07146, section 2. Attribute names and their order are those
of the checkpoints that the distillation literature shares.
"""

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models.layers import conv1x1, conv3x3, global_average, initialise, run_stages


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each after batch-norm and ReLU, and a shortcut; gives the plain sum."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        projects = in_channels != out_channels
        self.convShortcut = conv1x1(in_channels, out_channels, stride) if projects else None

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, out_channels, height / stride, width / stride)."""
        activated = functional.relu(self.bn1(features))
        residual: Tensor = self.conv2(functional.relu(self.bn2(self.conv1(activated))))
        # The projection reads the activated input, the identity the plain one.
        return residual + (features if self.convShortcut is None else self.convShortcut(activated))


class Stage(nn.Module):
    """The blocks of one stage, under the name that the shared checkpoints give them."""

    def __init__(self, num_blocks: int, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        rest = (PreActivationBlock(out_channels, out_channels, stride=1) for _ in range(num_blocks - 1))
        self.layer = nn.Sequential(PreActivationBlock(in_channels, out_channels, stride), *rest)


class WideResNet(nn.Module):
    """Three stages of pre-activation blocks; the second and the third halve the side.

    The stem and the blocks' outputs are taken before any batch-norm or ReLU; the penultimate vector is the
    mean of the last block's output after both.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the images.
        depth: As the paper counts layers: 4 + 6 x blocks of a stage.
        width: Factor of the stages' 16, 32 and 64 channels.
    """

    def __init__(self, num_classes: int, in_channels: int, *, depth: int, width: int) -> None:
        super().__init__()
        num_blocks, remainder = divmod(depth - 4, 6)
        assert remainder == 0, f"no three equal stages make a depth of {depth}"
        self.conv1 = conv3x3(in_channels, 16)
        self.block1 = Stage(num_blocks, 16, 16 * width, stride=1)
        self.block2 = Stage(num_blocks, 16 * width, 32 * width, stride=2)
        self.block3 = Stage(num_blocks, 32 * width, 64 * width, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, num_classes)
        initialise(self)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Activations:
        """Return the activations of images (batch, channels, height, width)."""
        stem = self.conv1(images)
        stages = run_stages((self.block1.layer, self.block2.layer, self.block3.layer), stem)
        penultimate = global_average(functional.relu(self.bn1(stages[-1][-1])))
        return Activations(self.fc(penultimate), penultimate, stem, stages)
