"""Random crops, flips and normalisation of a whole batch, on the device that holds it.

What is drawn for a sample is a hash of (seed, epoch, index). So it is the same in any batch, in any order, on a CPU and
on a GPU. The resized crop is of a box of any size, scaled to the side that networks see: Szegedy et al., "Going deeper
with convolutions", CVPR 2015, section 6, with the ranges and the ten attempts that are usual in PyTorch.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from cktf.errors import InputError
from cktf.seeding import derive
from cktf.settings import Settings

_AREA = (0.08, 1.0)  # share of the image's area
_RATIO = (3 / 4, 4 / 3)  # width over height
_ATTEMPTS = 10


class ImageChange(Settings, ABC):
    """A random change of images that a plug-in adds: its settings, and what it does with them."""

    @abstractmethod
    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return changed images.

        What is drawn must depend on the seed, the epoch and the sample's index alone (see `uniform_integers`), so that
        a sample is changed alike in any batch, by any worker and after a resume.

        Args:
            images: (batch, channels, height, width), uint8.
            index: (batch,), int64: positions of the samples in the training split.
            seed: The replicate's seed.
            epoch: From 1.

        Returns:
            (batch, channels, height, width), uint8.
        """


AUGMENTATIONS: dict[str, type[ImageChange]] = {}
"""Name to a change that a plug-in has added; in a study it is a key under ``augmentation:``, with its settings."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of each sample.

    Attributes:
        crop: Black pixels at each side, out of which a window of the image's own size is cut; 0: no crop.
        flip: Whether half of the images are mirrored left to right.
        resized_crop: Whether a box of any size is cut out and scaled to the side that networks see; ``crop`` is then 0.
        changes: Those of plug-ins, made one after the other.
    """

    crop: int
    flip: bool
    resized_crop: bool = False
    changes: tuple[ImageChange, ...] = ()


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
        flip = standard.flip if self.flip is None else self.flip
        changes = tuple(change for name in AUGMENTATIONS if (change := getattr(self, name, None)) is not None)
        return Augmentation(crop, flip, resized_crop, changes)


def draw(augmentation: Augmentation, index: Tensor, seed: int, epoch: int) -> Tensor:
    """Draw the flip and the crop of each sample, of positions ``index`` in the training split, in an epoch from 1.

    Returns:
        (3, batch), int64: the window's first row and column in the padded image, and 1 where it is mirrored.
    """
    num_offsets = 2 * augmentation.crop + 1
    num_values = {"row": num_offsets, "column": num_offsets, "flip": 2 if augmentation.flip else 1}
    keys = {purpose: derive(seed, "augmentation", purpose, epoch) for purpose in num_values}
    return torch.stack([uniform_integers(keys[purpose], index, count) for purpose, count in num_values.items()])


def crop_and_flip(images: Tensor, draws: Tensor, padding: int) -> Tensor:
    """Mirror the images that were drawn for it, pad with black, and cut a window of the old size out of each.

    Args:
        images: (batch, channels, height, width), uint8, as is what is returned.
        draws: (3, batch), as `draw` returns them.
        padding: The ``crop`` that they were drawn for.
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
    """Return images (batch, channels, height, width), uint8, in float32 and [0, 1] less the mean, over the deviation.

    Mean and standard deviation (channels,) are of images in [0, 1].
    """
    # (channels, 1, 1) broadcasts over (batch, channels, height, width)
    return images.float().sub_(255 * mean[:, None, None]).mul_(1 / (255 * std[:, None, None]))


def draw_boxes(index: Tensor, seed: int, epoch: int, height: int, width: int) -> Tensor:
    """Draw the box that is cut out of each sample in one epoch.

    The area is uniform, the ratio of the sides uniform in its logarithm; of ten such pairs the first is taken whose
    box fits into the image, or the whole image where none does (four in a thousand million, where images are square).
    The box's place is uniform. ``index``, ``seed`` and ``epoch`` are as for `draw`, the sides in pixels.

    Returns:
        (4, batch), int64: the box's first row and column, its height and its width.
    """

    def key(*purpose: str | int) -> int:
        return derive(seed, "augmentation", *purpose, epoch)

    def attempts(purpose: str, lowest: float, highest: float) -> Tensor:
        reals = torch.stack([uniform_reals(key(purpose, attempt), index) for attempt in range(_ATTEMPTS)])
        return lowest + (highest - lowest) * reals  # (attempts, batch)

    area = height * width * attempts("area", *_AREA)
    ratio = attempts("ratio", math.log(_RATIO[0]), math.log(_RATIO[1])).exp()
    sides = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()]).round().long().clamp(min=1)
    whole = torch.tensor([height, width], device=index.device)[:, None, None]
    sides = torch.cat([sides, whole.expand(2, 1, len(index))], dim=1)  # (2, attempts + 1, batch)
    first = (sides <= whole).all(dim=0).int().argmax(dim=0)  # the first of equal maxima
    heights, widths = sides.gather(1, first.expand(2, 1, -1))[:, 0]
    tops = uniform_integers(key("top"), index, height - heights + 1)
    lefts = uniform_integers(key("left"), index, width - widths + 1)
    return torch.stack([tops, lefts, heights, widths])


def resized_crop(images: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Cut a box out of each image and scale it to another size, bilinearly and with antialiasing.

    What lies beside a box in its image is not mixed in.

    Args:
        images: (batch, channels, rows, columns), uint8.
        boxes: (4, batch), as `draw_boxes` returns them.
        height: Height of the new images in pixels.
        width: Their width.
    """
    tops, lefts, heights, widths = boxes
    of_rows = _shares(tops, heights, images.shape[2], height)[:, None]  # the same for all channels
    of_columns = _shares(lefts, widths, images.shape[3], width)[:, None]
    scaled = of_rows @ images.float() @ of_columns.mT
    return scaled.round_().to(torch.uint8)


def _shares(starts: Tensor, lengths: Tensor, num_pixels: int, num_new: int) -> Tensor:
    """Return the share that each pixel of an image has in each new one, along one axis.

    It falls linearly with the distance of their centres, to 0 at the width of a pixel, new or old, whichever is wider.
    ``starts`` and ``lengths`` (batch,) are the boxes'; of the shares (batch, num_new, num_pixels), float32, those of a
    new pixel add up to 1.
    """
    starts, lengths = starts[:, None, None], lengths[:, None, None]
    pixels = torch.arange(num_pixels, device=starts.device)
    scale = lengths / num_new
    centres = starts + (torch.arange(num_new, device=starts.device)[:, None] + 0.5) * scale
    shares = (1 - (pixels + 0.5 - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    shares = shares * ((pixels >= starts) & (pixels < starts + lengths))
    return shares / shares.sum(2, keepdim=True)


def uniform_integers(key: int, index: Tensor, num_values: int | Tensor) -> Tensor:
    """Return an integer in [0, num_values) for each index, uniform, a pure function of (key, index).

    The upper half of the index-th output of SplitMix64 seeded with ``key``, scaled to the range.

    Args:
        key: 63 bits.
        index: Any shape, int64.
        num_values: At most 2^31; a tensor gives each index a range of its own.
    """
    upper = _shift_right(splitmix64(key, index), 32)
    return (upper * num_values) >> 32


def uniform_reals(key: int, index: Tensor) -> Tensor:
    """Return a real in [0, 1) for each index, float64, uniform over the multiples of 2^-53."""
    return _shift_right(splitmix64(key, index), 11).double() * 2.0**-53


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
