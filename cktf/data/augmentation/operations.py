"""The operations of RandAugment and TrivialAugment on a whole batch: each image gets one, at its own strength.

Each operation is computed for all images and acts on those that were given it. So a step does the same whatever was
drawn, and nothing is read from the device. They are those of `torchvision.transforms.v2` for uint8: geometric ones take
the nearest pixel, and what comes from outside the image is black.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

OPERATIONS = (
    "identity",
    "shear_x",  # strength: pixels sideways for each row
    "shear_y",
    "translate_x",  # pixels
    "translate_y",
    "rotate",  # degrees, against the clock
    "brightness",  # of these four: 0 leaves the image as it is, -1 is black, grey, evenly grey or blurred
    "color",
    "contrast",
    "sharpness",
    "posterize",  # bits that are left
    "solarize",  # share of the largest value from which on values are inverted
    "autocontrast",
    "equalize",
)


def operate(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
    """Return images (batch, 1 or 3 channels, height, width), uint8, each changed by one operation.

    ``chosen`` (batch,), int64, are the positions of the operations in `OPERATIONS`, ``strengths`` (batch,), float32, in
    their units.
    """
    from torchvision.transforms.v2 import functional as of_torchvision  # which takes a second to import

    def strength(name: str, neutral: float = 0.0) -> Tensor:
        return torch.where(chosen == OPERATIONS.index(name), strengths, neutral)[:, None, None, None]

    def is_given(name: str) -> Tensor:
        return (chosen == OPERATIONS.index(name))[:, None, None, None]

    images = _moved(images, strength)
    # Blends of the image with one that has none of the quality.
    grey = of_torchvision.rgb_to_grayscale(images).float()
    without = torch.where(is_given("contrast"), grey.mean((1, 2, 3), keepdim=True), 0.0)
    without = torch.where(is_given("sharpness"), _blurred(images), without)
    more = strength("brightness") + strength("contrast") + strength("sharpness")
    if images.shape[1] > 1:  # a grey image has no colour to change
        without = torch.where(is_given("color"), grey, without)
        more = more + strength("color")
    # In this form an image that has none of the quality stays exactly as it is.
    images = (images + more * (images - without)).clamp(0, 255).to(torch.uint8)
    images = images & (256 - 2 ** (8 - strength("posterize", 8.0))).to(torch.uint8)
    images = torch.where(images >= 255 * strength("solarize", math.inf), 255 - images, images)
    images = torch.where(is_given("autocontrast"), of_torchvision.autocontrast(images), images)
    return torch.where(is_given("equalize"), of_torchvision.equalize(images), images)


def _moved(images: Tensor, strength: Callable[[str], Tensor]) -> Tensor:
    """Return the images sheared, translated and rotated; shears leave the first corner in its place, as in PIL."""
    height, width = images.shape[2:]
    # Coordinates of each new pixel from the image's centre, and from them those of the old pixel that it shows.
    # No matrix product: its last bits would depend on the size of the batch, and the nearest pixel may hang on them.
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
