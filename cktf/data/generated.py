"""A few random images of a data set's kind, to try a study out before the data are there."""

import torch
from torch import Tensor
from torch.nn import functional

from cktf.data.dataset import Dataset, Kind
from cktf.seeding import generator

FEW_CLASSES = 4
"""Largest number of classes with samples in `few_images`; the number of classes stays that of the real data set."""

FEW_SAMPLES = 3
"""Training samples of each of these classes, one of them for validation; there is one test sample."""


def few_images(kind: Kind, side: int) -> Dataset:
    """Return a small data set of random images of a kind and a side in pixels, always the same."""
    labels = torch.arange(min(kind.num_classes, FEW_CLASSES))

    def images(part: str, of_a_class: int) -> Tensor:
        shape = kind.channels, side, side
        return patterned(labels.repeat(of_a_class), kind.num_classes, shape, part)

    return kind.dataset(
        images("train", FEW_SAMPLES),
        labels.repeat(FEW_SAMPLES),
        images("test", 1),
        labels,
        images("unlabelled", FEW_SAMPLES) if kind.has_unlabelled else None,
    )


def patterned(labels: Tensor, num_classes: int, shape: tuple[int, int, int], part: str) -> Tensor:
    """Return images (samples, *shape), uint8, that can be learnt: each its class's pattern of 4x4 fields, under noise.

    ``labels`` are (samples,), int64; ``part`` is part of the noise's seed.
    """
    patterns = torch.rand(num_classes, shape[0], 4, 4, generator=generator(0, "generated patterns"))
    fields = functional.interpolate(patterns, size=shape[1:])
    noise = torch.rand(len(labels), *shape, generator=generator(0, "generated noise", part))
    return (160 * fields[labels] + 95 * noise).to(torch.uint8)
