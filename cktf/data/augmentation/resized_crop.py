"""Random resized crop of a whole batch: a box of any size is cut out and scaled to the side that networks see.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6, with the ranges and the ten attempts that are
usual in PyTorch. What is drawn for a sample is a hash of (seed, epoch, index), as for the other crop.
"""

import math

import torch
from torch import Tensor

from cktf.data.augmentation.draws import uniform_integers, uniform_reals
from cktf.seeding import derive

_AREA = (0.08, 1.0)  # share of the image's area
_RATIO = (3 / 4, 4 / 3)  # width over height
_ATTEMPTS = 10


def draw_boxes(index: Tensor, seed: int, epoch: int, height: int, width: int) -> Tensor:
    """Draw the box that is cut out of each sample in one epoch.

    The area is uniform, the ratio of the sides uniform in its logarithm; of ten such pairs the first is taken whose
    box fits into the image, or the whole image where none does (four in a thousand million, where images are square).
    The box's place is uniform.

    Args:
        index: (batch,), int64: positions in the training split.
        seed: The replicate's seed.
        epoch: From 1.
        height: Of the images, in pixels.
        width: Likewise.

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
        height: Of the new images, in pixels.
        width: Likewise.

    Returns:
        (batch, channels, height, width), uint8.
    """
    tops, lefts, heights, widths = boxes
    of_rows = _shares(tops, heights, images.shape[2], height)[:, None]  # the same for all channels
    of_columns = _shares(lefts, widths, images.shape[3], width)[:, None]
    scaled = of_rows @ images.float() @ of_columns.mT
    return scaled.round_().to(torch.uint8)


def _shares(starts: Tensor, lengths: Tensor, num_pixels: int, num_new: int) -> Tensor:
    """Return the share that each pixel of an image has in each new one, along one axis.

    It falls linearly with the distance of their centres, to 0 at the width of a pixel, new or old, whichever is wider.

    Args:
        starts: (batch,): the box's first pixel.
        lengths: (batch,): its pixels.
        num_pixels: Of the image.
        num_new: New pixels.

    Returns:
        (batch, num_new, num_pixels), float32; a new pixel's shares add up to 1.
    """
    starts, lengths = starts[:, None, None], lengths[:, None, None]
    pixels = torch.arange(num_pixels, device=starts.device)
    scale = lengths / num_new
    centres = starts + (torch.arange(num_new, device=starts.device)[:, None] + 0.5) * scale
    shares = (1 - (pixels + 0.5 - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    shares = shares * ((pixels >= starts) & (pixels < starts + lengths))
    return shares / shares.sum(2, keepdim=True)
