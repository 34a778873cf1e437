"""A network: a study names this file under ``plugins:``, and ``student: {model: tiny}``."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from cktf.batch import Activations


class Tiny(nn.Module):
    """Three stages of one convolution each.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of an image.
        width: Channels of the first stage; each further one has twice as many.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        widths = [width, width, 2 * width, 4 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after))
            for before, after in pairwise(widths)
        )
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Activations:
        """Return the activations of images (batch, channels, height, width)."""
        stem = features = torch.relu(self.stem(images))
        stages, preactivations = [], []
        for stage in self.stages:
            preactivations.append(stage(features))
            features = torch.relu(preactivations[-1])
            stages.append((features,))
        penultimate = features.mean(dim=(2, 3))
        return Activations(self.classifier(penultimate), penultimate, stem, tuple(stages), tuple(preactivations))


MODELS = {"tiny": Tiny}
