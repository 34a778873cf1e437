"""What the networks share: convolutions, running through stages, initial parameters."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Stages


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution, padded by one; a batch-norm follows or precedes it, so it has no bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution without bias, the projection on a shortcut."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)


def run_stages(stages: Sequence[nn.Sequential], stem: Tensor) -> tuple[Stages, tuple[Tensor, ...]]:
    """Return the output of every block of every stage, and the preactivation of every stage.

    A block's output is the ReLU of what its module gives, and what the next block reads.

    Args:
        stages: For each stage, its blocks in order, without their last ReLU.
        stem: (batch, channels, height, width), what the first block reads.
    """
    outputs, preactivations = [], []
    features = preactivation = stem
    for stage in stages:
        blocks = []
        for block in stage:
            preactivation = block(features)
            features = functional.relu(preactivation)
            blocks.append(features)
        outputs.append(tuple(blocks))
        preactivations.append(preactivation)
    return tuple(outputs), tuple(preactivations)


def global_average(features: Tensor) -> Tensor:
    """Return each channel's mean: (batch, channels, height, width) to (batch, channels).

    The published networks average windows of 8x8: the same for 32x32 images, and no fit for other sizes.
    """
    return functional.adaptive_avg_pool2d(features, 1).flatten(1)


def initialise(network: nn.Module) -> None:
    """Draw the initial parameters as the CIFAR literature does, from PyTorch's global stream.

    Convolutions: normal with variance 2 / (kernel area x output channels), so that gradients keep their
    variance through ReLUs (He et al. 2015, arXiv 1502.01852, section 2.2). Batch-norm: scale one, shift zero.
    Linear layers keep PyTorch's own.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
