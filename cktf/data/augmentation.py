"""Random crop, flip and normalisation of a whole batch, on the device that holds it.

What is drawn for a sample is a hash of (seed, epoch, index). So it is the same in any batch, in any order,
on a CPU and on a GPU.
"""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.seeding import derive
from cktf.settings import Settings


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each sample.

    Attributes:
        crop: Black pixels at each side, out of which a window of the image's own size is cut; 0: no crop.
        flip: Whether half of the images are mirrored left to right.
    """

    crop: int
    flip: bool


class AugmentationConfig(Settings):
    """What is drawn anew for each sample and epoch; by default what the literature draws for the data set."""

    crop: int | None = Field(default=None, ge=0)
    """Padding of the random crop at each side, in pixels; 0: no crop. Not set: the data set's standard."""

    flip: bool | None = None
    """Mirror half of the images left to right. Not set: the data set's standard."""

    def resolve(self, standard: Augmentation) -> Augmentation:
        """Return the augmentation, with the data set's ``standard`` where nothing is set."""
        return Augmentation(
            crop=standard.crop if self.crop is None else self.crop,
            flip=standard.flip if self.flip is None else self.flip,
        )


def draw(augmentation: Augmentation, index: Tensor, seed: int, epoch: int) -> Tensor:
    """Draw what happens to each sample in one epoch.

    Args:
        augmentation: What is drawn.
        index: (batch,), int64: positions in the training split.
        seed: The replicate's seed.
        epoch: From 1.

    Returns:
        (3, batch), int64: the window's first row and column in the padded image, and 1 where it is mirrored.
    """
    num_offsets = 2 * augmentation.crop + 1
    num_values = {"row": num_offsets, "column": num_offsets, "flip": 2 if augmentation.flip else 1}
    return torch.stack(
        [
            uniform_integers(derive(seed, "augmentation", purpose, epoch), index, count)
            for purpose, count in num_values.items()
        ]
    )


def crop_and_flip(images: Tensor, draws: Tensor, padding: int) -> Tensor:
    """Mirror the images that were drawn for it, pad with black, and cut a window of the old size out of each.

    Args:
        images: (batch, channels, height, width), uint8.
        draws: (3, batch), as `draw` returns them.
        padding: The ``crop`` that they were drawn for.

    Returns:
        (batch, channels, height, width), uint8.
    """
    batch, channels, height, width = images.shape
    padded = functional.pad(images, (padding, padding, padding, padding))
    both = torch.stack([padded, padded.flip(-1)])  # (2, batch, channels, padded height, padded width)
    # A window is `height` runs of `width` pixels in each channel. Reading whole runs, out of a view that has
    # one for every first pixel, takes a quarter of the time of a gather by pixel.
    rows, columns, flips = draws
    samples, planes, lines = (torch.arange(n, device=images.device) for n in (batch, channels, height))
    flip_stride, sample_stride, plane_stride, line_stride, _ = both.stride()
    first = flips * flip_stride + samples * sample_stride + rows * line_stride + columns
    starts = first[:, None, None] + planes[:, None] * plane_stride + lines * line_stride
    runs = both.flatten().unfold(0, width, 1)
    return runs.index_select(0, starts.flatten()).view(batch, channels, height, width)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Scale to [0, 1], take the mean away and divide by the standard deviation, channel by channel.

    Args:
        images: (batch, channels, height, width), uint8.
        mean: (channels,), of images in [0, 1].
        std: (channels,), likewise.

    Returns:
        (batch, channels, height, width), float32.
    """
    # (channels, 1, 1) broadcasts over (batch, channels, height, width)
    return images.float().sub_(255 * mean[:, None, None]).mul_(1 / (255 * std[:, None, None]))


def uniform_integers(key: int, index: Tensor, num_values: int) -> Tensor:
    """Return an integer in [0, num_values) for each index, uniform, a pure function of (key, index).

    The upper half of the index-th output of SplitMix64 seeded with ``key``, scaled to the range.

    Args:
        key: Of the stream, 63 bits.
        index: Any shape, int64.
        num_values: At most 2^31.
    """
    upper = _shift_right(splitmix64(key, index), 32)
    return (upper * num_values) >> 32


def splitmix64(key: int, index: Tensor) -> Tensor:
    """Return the index-th output, from 0, of SplitMix64 seeded with ``key``: 64 bits in an int64.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Its arithmetic is
    modulo 2^64, which is what int64 tensors do on every device.
    """
    bits = key + (index + 1) * _signed(0x9E3779B97F4A7C15)
    bits = (bits ^ _shift_right(bits, 30)) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ _shift_right(bits, 27)) * _signed(0x94D049BB133111EB)
    return bits ^ _shift_right(bits, 31)


def _shift_right(bits: Tensor, distance: int) -> Tensor:
    # The shift of an int64 drags its sign along; the generator's bits have none.
    return (bits >> distance) & ((1 << (64 - distance)) - 1)


def _signed(constant: int) -> int:
    return constant - (1 << 64)
