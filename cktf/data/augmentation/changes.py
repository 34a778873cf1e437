"""Random changes of images, after crop and flip: their interface, RandAugment, TrivialAugment and random erasing."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.data.augmentation.boxes import draw_boxes, inside
from cktf.data.augmentation.draws import constant, splitmix64, uniform_integers, uniform_reals
from cktf.seeding import derive
from cktf.settings import Settings

OPERATIONS = (
    "identity",
    "shear_x",  # strength: pixels sideways for each row
    "shear_y",
    "translate_x",  # pixels
    "translate_y",
    "rotate",  # degrees, against the clock
    "brightness",  # this and the next three: 0 changes nothing, -1 is black, grey, evenly grey, blurred
    "color",
    "contrast",
    "sharpness",
    "posterize",  # bits that are left
    "solarize",  # threshold, as a share of the largest value, from which values are inverted
    "autocontrast",
    "equalize",
)
"""Operations of RandAugment and TrivialAugment."""

_LEVELS = 30  # highest published level of strength; the lowest is 0
_NUM_SIGNED = 9  # operations, after the first, whose strength gets a random sign
_SMALLEST, _RATIO = 0.02, 0.3  # lowest share of the image's area; lowest width over height, inverse of the highest


class ImageChange(Settings, ABC):
    """Base of random changes of images: its fields are the settings, a call changes a batch."""

    @abstractmethod
    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return changed images, (batch, channels, height, width), uint8, as ``images`` are.

        Draws must depend only on the seed, the epoch (from 1) and the sample's index (see `uniform_integers`), so that
        a sample is changed alike in any batch, by any worker and after a resume. ``index`` (batch,), int64, are the
        samples' positions in the training split.
        """


class RandAugment(ImageChange):
    """RandAugment: operations drawn for each sample, one after the other, all at one level of strength.

    Cubuk, Zoph, Shlens and Le, CVPR workshops 2020, arXiv 1909.13719. Operations and strengths are those of
    `torchvision.transforms.v2.RandAugment`.
    """

    operations: int = Field(default=2, ge=0, le=14)
    """N: operations drawn for each sample, out of 14."""

    magnitude: int = Field(default=9, ge=0, le=_LEVELS)
    """M: level of strength, 0 to 30."""

    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        height, width = images.shape[2:]
        widest = (0.3, 0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, 4.0)
        level = torch.full_like(index, self.magnitude) / _LEVELS
        for number in range(self.operations):
            images = _with_one(images, index, level, widest, derive(seed, "rand_augment", number, epoch))
        return images


class TrivialAugment(ImageChange):
    """TrivialAugment: one operation at one strength, both drawn for each sample.

    Müller and Hutter, ICCV 2021, arXiv 2103.10158, with the wide ranges of strength of
    `torchvision.transforms.v2.TrivialAugmentWide`.
    """

    strengths: int = Field(default=31, ge=2, le=1000)
    """Number of levels of strength, from none to the widest; one is drawn for each sample."""

    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        key = derive(seed, "trivial_augment", epoch)
        level = uniform_integers(derive(key, "level"), index, self.strengths) / (self.strengths - 1)
        return _with_one(images, index, level, (0.99, 0.99, 32.0, 32.0, 135.0, 0.99, 6.0), key)


def _with_one(images: Tensor, index: Tensor, level: Tensor, widest: tuple[float, ...], key: int) -> Tensor:
    """Return images (batch, channels, height, width), uint8, each changed by one operation drawn for it.

    Its sign is drawn too. ``level`` (batch,), float32, is from 0, no change, to 1, where the strengths are ``widest``:
    of the two shears, two translations, rotation and blends, and the number of bits removed. ``key`` seeds the draws.
    """
    *moves, blend, bits = widest
    ends = constant((0, *moves, *[blend] * 4, -bits, -1, 0, 0), torch.float32, images.device)
    starts = constant((*[0] * 10, 8, 1, 0, 0), torch.float32, images.device)
    chosen = uniform_integers(derive(key, "operation"), index, len(OPERATIONS))
    strengths = starts[chosen] + ends[chosen] * level
    strengths = torch.where(chosen == OPERATIONS.index("posterize"), strengths.round(), strengths)
    is_negative = (uniform_integers(derive(key, "sign"), index, 2) == 1) & (chosen >= 1) & (chosen <= _NUM_SIGNED)
    return operate(images, chosen, torch.where(is_negative, -strengths, strengths))


class RandomErasing(ImageChange):
    """Random erasing: paints over a random box in some of the images.

    Zhong, Zheng, Kang, Li and Yang, AAAI 2020, arXiv 1708.04896, algorithm 1; published as RE-R. As in torchvision's,
    the ratio of a box's sides is uniform in the logarithm, and an image that none of ten draws fits into is left alone.
    """

    probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the images that lose a box."""

    largest: float = Field(default=0.4, gt=_SMALLEST, le=1)
    """Largest share of an image's area that the box covers; the smallest is 0.02."""

    fill: Literal["random", "black"] = "random"
    """Fill of the box: a random value for each pixel and channel, or black."""

    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        seed = derive(seed, "random_erasing")
        size = images.shape[1:]
        height, width = size[1:]
        boxes = draw_boxes(index, seed, epoch, height, width, (_SMALLEST, self.largest), (_RATIO, 1 / _RATIO))
        is_erased = uniform_reals(derive(seed, "whether", epoch), index) < self.probability
        if self.largest < 1:  # the box is the whole image only where no draw fits
            is_erased &= boxes[2] * boxes[3] < height * width
        is_in = inside(boxes, height, width) & is_erased[:, None, None, None]
        if self.fill == "black":
            return images.masked_fill(is_in, 0)
        num_words = -(-size.numel() // 8)  # each has 64 random bits, the values of eight pixels
        words = torch.arange(num_words, device=images.device) + index[:, None] * num_words
        paint = splitmix64(derive(seed, "pixels", epoch), words).view(torch.uint8)[:, : size.numel()].view(-1, *size)
        return torch.where(is_in, paint, images)


def operate(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
    """Return images (batch, 1 or 3 channels, height, width), uint8, each changed by one operation.

    Each operation is computed for all images and applied to those it was drawn for, so that a step does the same work
    whatever was drawn and nothing is read from the device. Operations are those of `torchvision.transforms.v2` for
    uint8: geometric ones take the nearest pixel, and pixels from outside the image are black. ``chosen`` (batch,),
    int64, are positions in `OPERATIONS`, ``strengths`` (batch,), float32, are in the operations' units.
    """
    from torchvision.transforms.v2 import functional as of_torchvision  # which takes a second to import

    def strength(name: str, neutral: float = 0.0) -> Tensor:
        return torch.where(chosen == OPERATIONS.index(name), strengths, neutral)[:, None, None, None]

    def is_given(name: str) -> Tensor:
        return (chosen == OPERATIONS.index(name))[:, None, None, None]

    images = _moved(images, strength)
    # Blends of the image with a version without the quality (brightness, contrast, sharpness or colour).
    grey = of_torchvision.rgb_to_grayscale(images).float()
    without = torch.where(is_given("contrast"), grey.mean((1, 2, 3), keepdim=True), 0.0)
    without = torch.where(is_given("sharpness"), _blurred(images), without)
    more = strength("brightness") + strength("contrast") + strength("sharpness")
    if images.shape[1] > 1:  # a grey image has no colour to change
        without = torch.where(is_given("color"), grey, without)
        more = more + strength("color")
    # In this form an image that equals `without` stays exactly as it is.
    images = (images + more * (images - without)).clamp(0, 255).to(torch.uint8)
    images = images & (256 - 2 ** (8 - strength("posterize", 8.0))).to(torch.uint8)
    images = torch.where(images >= 255 * strength("solarize", math.inf), 255 - images, images)
    images = torch.where(is_given("autocontrast"), of_torchvision.autocontrast(images), images)
    return torch.where(is_given("equalize"), of_torchvision.equalize(images), images)


def _moved(images: Tensor, strength: Callable[[str], Tensor]) -> Tensor:
    """Return the images sheared, translated and rotated; shears leave the first corner in its place, as in PIL."""
    height, width = images.shape[2:]
    # Coordinates of each new pixel relative to the image's centre; from them, those of the old pixel that it shows.
    # No matrix product: its last bits would depend on the batch size, and could change which pixel is nearest.
    x, y = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (width, height))
    y = y[:, None]
    angle = torch.deg2rad(strength("rotate")[:, 0])
    cosine, sine = angle.cos(), angle.sin()
    old_x = cosine * x - sine * y + strength("shear_x")[:, 0] * (y + height / 2) - strength("translate_x")[:, 0].trunc()
    old_y = sine * x + cosine * y + strength("shear_y")[:, 0] * (x + width / 2) - strength("translate_y")[:, 0].trunc()
    grid = torch.stack([old_x / (width / 2), old_y / (height / 2)], dim=-1)
    return functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False).to(torch.uint8)


def _blurred(images: Tensor) -> Tensor:
    """Return images (batch, channels, height, width), uint8, smoothed as PIL does it, in float32; edges as they are."""
    smoothed = images.float()
    if min(images.shape[2:]) > 2:
        inner = smoothed[:, :, 1:-1, 1:-1]
        sums = functional.avg_pool2d(smoothed, 3, stride=1, divisor_override=1)  # whole numbers, so exact
        inner.copy_(((sums + 4 * inner) / 13).round())
    return smoothed
