"""VGG networks with batch-norm and one linear layer, as the distillation papers use them.

Source: Simonyan and Zisserman 2015, arXiv 1409.1556, table 1 (and eight layers, one a stage). Attribute names
and their order are those of the CKTF paper's checkpoints; `rename_numbered_layers` converts those of the
earlier distillation papers.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from cktf.batch import Activations
from cktf.models.layers import classified, initialise, run_stage, scaled, stage_of

POOLED_SIDE = 64
"""Smallest side of images whose maps are pooled before the last stage too: it has 4x4 maps at 64x64 as at 32x32."""


class ConvolutionBlock(nn.Module):
    """A 3x3 convolution and batch-norm; returns the input of the ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        preactivation: Tensor = self.bn(self.conv2d(features))
        return preactivation


class VGG(nn.Module):
    """A stem and four stages, with 2x2 max-pooling before each stage.

    Pooling before the last stage is for images of 64x64 and larger only. Every representation is taken after
    its ReLU and before pooling. ``num_convolutions`` are those of the stem and of each stage, ``scale`` is a factor of
    all channels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        num_convolutions: tuple[int, int, int, int, int],
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        widths = [scaled(width, scale) for width in (64, 128, 256, 512, 512)]
        channels = pairwise((in_channels, *widths))
        self.block0, self.block1, self.block2, self.block3, self.block4 = (
            stage_of(ConvolutionBlock, before, after, num, stride=1)
            for (before, after), num in zip(channels, num_convolutions, strict=True)
        )
        initialise(self)
        self.classifier = nn.Linear(widths[-1], num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Activations:
        stem = run_stage(self.block0, images)[0][-1]
        stages = self.block1, self.block2, self.block3, self.block4
        pooled_before = stages if min(images.shape[2:]) >= POOLED_SIDE else stages[:-1]
        return classified(stem, stages, self.classifier, pooled_before=pooled_before)


def rename_numbered_layers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with a `VGG`'s keys, from one with numbered layers: convolution, batch-norm, ReLU, ..."""

    def renamed(layer: re.Match[str]) -> str:
        block, part = divmod(int(layer[0]), 3)
        return f"{block}.{('conv2d', 'bn', 'relu')[part]}"

    return {re.sub(r"(?<=block\d\.)\d+(?=\.\w+$)", renamed, key): value for key, value in weights.items()}
