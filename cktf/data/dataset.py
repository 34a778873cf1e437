"""A data set: everything of it, in memory, as the networks see it before augmentation."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from cktf.data.augmentation import Augmentation


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of both parts, raw, each in one tensor.

    Attributes:
        train_images: (samples, channels, height, width), uint8.
        train_labels: (samples,), int64, from 0.
        test_images: (samples, channels, height, width), uint8.
        test_labels: (samples,), int64, from 0.
        num_classes: Classes in all.
        mean: (channels,), of the training images scaled to [0, 1].
        std: (channels,), likewise.
        standard_augmentation: What the literature draws for this data set.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int
    mean: Tensor
    std: Tensor
    standard_augmentation: Augmentation

    @property
    def image_shape(self) -> torch.Size:
        """(channels, height, width)."""
        return self.train_images.shape[1:]

    @property
    def device(self) -> torch.device:
        """Where the images and the labels are."""
        return self.train_images.device

    def to(self, device: torch.device | str) -> Self:
        """Return the data set on ``device``."""
        return replace(
            self,
            train_images=self.train_images.to(device),
            train_labels=self.train_labels.to(device),
            test_images=self.test_images.to(device),
            test_labels=self.test_labels.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
        )
