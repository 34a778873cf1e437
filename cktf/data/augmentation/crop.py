"""Random crop, flip and normalisation of a whole batch, on the device that holds it.

What is drawn for a sample is a hash of (seed, epoch, index). So it is the same in any batch, in any order,
on a CPU and on a GPU. (The other crop, of a box that is resized, is in `cktf.data.augmentation.resized_crop`.)
"""

from dataclasses import dataclass
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from cktf.data.augmentation.draws import uniform_integers
from cktf.errors import InputError
from cktf.seeding import derive
from cktf.settings import Settings


@dataclass(frozen=True)
class Augmentation:
    """Random changes of each sample.

    Attributes:
        crop: Black pixels at each side, out of which a window of the image's own size is cut; 0: no crop.
        flip: Whether half of the images are mirrored left to right.
        resized_crop: Whether a box of any size is cut out and scaled to the side that networks see; ``crop`` is then 0.
    """

    crop: int
    flip: bool
    resized_crop: bool = False


class AugmentationConfig(Settings):
    """Random changes of each sample in each epoch; by default the standard ones of the data set in the literature."""

    crop: int | None = Field(default=None, ge=0, le=1024)
    """Padding of the random crop at each side, in pixels; 0: no crop. Not set: the data set's standard."""

    resized_crop: bool | None = None
    """Instead of `crop`, cut out a box of 8 to 100 per cent of the area and scale it to the images' side; it is cut out
    of larger images if `data.crop_from` is set. Not set: the data set's standard, and off if `crop` is set."""

    flip: bool | None = None
    """Mirror half of the images left to right. Not set: the data set's standard."""

    @model_validator(mode="after")
    def _one_crop(self) -> Self:
        if self.crop and self.resized_crop:
            raise InputError(f"crop: {self.crop} and resized_crop: true exclude each other; leave one of them out")
        return self

    def resolve(self, standard: Augmentation) -> Augmentation:
        """Return the augmentation, with the data set's ``standard`` for whatever is not set."""
        resized_crop = self.resized_crop
        if resized_crop is None:
            resized_crop = standard.resized_crop and self.crop is None
        crop = self.crop
        if crop is None:
            crop = 0 if resized_crop else standard.crop
        return Augmentation(
            crop=crop,
            flip=standard.flip if self.flip is None else self.flip,
            resized_crop=resized_crop,
        )


def draw(augmentation: Augmentation, index: Tensor, seed: int, epoch: int) -> Tensor:
    """Draw the flip and the crop of each sample in one epoch.

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
