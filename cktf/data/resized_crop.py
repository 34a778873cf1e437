"""Random resized crop of a whole batch: a box of any size is cut out and scaled to the image's own size.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6, with the ranges and the ten attempts that are
usual in PyTorch. What is drawn for a sample is a hash of (seed, epoch, index), as for the other crop.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from cktf.data.draws import uniform_integers, uniform_reals
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


def resized_crop(images: Tensor, boxes: Tensor) -> Tensor:
    """Cut a box out of each image and scale it to the image's size, bilinearly.

    There is no antialiasing, and no need of it: no box is larger than the image, so that it is never reduced.

    Args:
        images: (batch, channels, height, width), uint8.
        boxes: (4, batch), as `draw_boxes` returns them.

    Returns:
        (batch, channels, height, width), uint8.
    """
    height, width = images.shape[-2:]
    tops, lefts, heights, widths = boxes
    rows, columns = _positions(tops, heights, height), _positions(lefts, widths, width)
    # PyTorch wants positions as parts of the image, from -1 at its first edge to 1 at its last one.
    rows, columns = (2 * rows + 1) / height - 1, (2 * columns + 1) / width - 1
    grid = torch.stack(  # (batch, height, width, 2), the column first
        [columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)], dim=-1
    )
    sampled = functional.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.round_().to(torch.uint8)


def _positions(starts: Tensor, lengths: Tensor, num_pixels: int) -> Tensor:
    """Return where in the image the centres of the new pixels lie, along one axis.

    Args:
        starts: (batch,): the box's first pixel.
        lengths: (batch,): its pixels.
        num_pixels: New pixels.

    Returns:
        (batch, num_pixels), float32, in pixels, with the centre of the first pixel at 0.
    """
    centres = torch.arange(num_pixels, device=starts.device) + 0.5
    within = centres * (lengths[:, None] / num_pixels) - 0.5
    # The box ends at its own outermost pixels: what lies beside it in the image is not mixed in.
    return starts[:, None] + within.clamp(min=0).minimum(lengths[:, None] - 1)
