"""Parts that the networks share: convolutions, stages of blocks, the way from a stem to the logits, initialisation."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution, padded by one; a batch-norm follows or precedes it, so it has no bias."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, groups=groups, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution, likewise without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, stride=stride, groups=groups, bias=False)


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return the projection on a residual block's shortcut; no layer if the block does not change the shape."""
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


def stage_of(
    block: Callable[[int, int, int], nn.Module], in_width: int, width: int, num: int, stride: int
) -> nn.Sequential:
    """Return ``num`` blocks, built as ``block(in_channels, out_channels, stride)``; the first has the stride.

    A block maps (batch, in_channels, height, width) to (batch, out_channels, height / stride, width / stride).
    """
    return nn.Sequential(block(in_width, width, stride), *(block(width, width, 1) for _ in range(num - 1)))


def run_stage(stage: nn.Sequential, features: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the output of every block of a stage, and the input of the ReLU after the last one.

    A block's output is the ReLU of its module's, and the next block's input; the first block's is ``features``.
    """
    outputs = []
    preactivation = features
    for block in stage:
        preactivation = block(features)
        features = functional.relu(preactivation)
        outputs.append(features)
    return tuple(outputs), preactivation


def classified(
    stem: Tensor,
    stages: Sequence[nn.Sequential],
    classifier: nn.Module,
    last: Callable[[Tensor], Tensor] | None = None,
    pooled_before: Sequence[nn.Sequential] = (),
) -> Activations:
    """Return the activations of a network that runs its stages one after the other, each as `run_stage` does.

    The classifier reads the average of the last block's output, or of ``last`` applied to it. 2x2 max-pooling comes
    before the stages in ``pooled_before``.
    """
    outputs, preactivations = [], []
    features = stem
    for stage in stages:
        if stage in pooled_before:
            features = functional.max_pool2d(features, 2)
        blocks, preactivation = run_stage(stage, features)
        features = blocks[-1]
        outputs.append(blocks)
        preactivations.append(preactivation)
    pooled = last(features) if last else None
    penultimate = global_average(features if pooled is None else pooled)
    logits = classifier(penultimate)
    return Activations(logits, penultimate, stem, tuple(outputs), tuple(preactivations), pooled=pooled)


def global_average(features: Tensor) -> Tensor:
    """Return each channel's mean: (batch, channels, height, width) to (batch, channels).

    The published networks average windows of 8x8: the same for 32x32 images, and no fit for other sizes.
    """
    return functional.adaptive_avg_pool2d(features, 1).flatten(1)


def initialise(network: nn.Module) -> None:
    """Draw the initial parameters as the CIFAR literature does, from PyTorch's global stream.

    Convolutions: normal with variance 2 / (kernel area x output channels), so that gradients keep their
    variance through ReLUs (He et al. 2015, arXiv 1502.01852, section 2.2), bias zero. Batch-norm: scale one,
    shift zero. Linear layers keep PyTorch's own.

    A network calls this before it makes its classifier: so nothing before that depends on the number of classes, and
    arms whose networks differ in it alone are paired.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def scaled(channels: int, scale: float) -> int:
    """Return a layer's number of channels, times a factor and rounded; one at least."""
    return max(1, round(channels * scale))
