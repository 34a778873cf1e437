"""Random boxes in images, one for each sample, and masks of the pixels inside."""

import math

import torch
from torch import Tensor

from cktf.data.augmentation.draws import constant, uniform_integers, uniform_reals
from cktf.seeding import derive

_ATTEMPTS = 10


def draw_boxes(
    index: Tensor,
    seed: int,
    epoch: int,
    height: int,
    width: int,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Return a random box for each image in an epoch, (4, batch), int64; by default as in the random resized crop.

    The rows are the box's first row and column, its height and its width, in pixels. Its area is uniform, the ratio of
    its sides uniform in the logarithm; the first of ten draws whose box fits into the image is taken, or the whole
    image if none fits. The box's place is uniform. ``area`` is the range of its share of the image, ``ratio`` that of
    width over height; ``index`` (batch,), int64, are the samples' positions in the training split, ``epoch`` counts
    from 1.
    """

    def key(*purpose: str | int) -> int:
        return derive(seed, "augmentation", *purpose, epoch)

    def attempts(purpose: str, lowest: float, highest: float) -> Tensor:
        keys = constant(tuple(key(purpose, attempt) for attempt in range(_ATTEMPTS)), torch.int64, index.device)
        reals = uniform_reals(keys[:, None], index)  # (attempts, batch)
        return lowest + (highest - lowest) * reals

    areas = height * width * attempts("area", *area)
    ratios = attempts("ratio", math.log(ratio[0]), math.log(ratio[1])).exp()
    sides = torch.stack([(areas / ratios).sqrt(), (areas * ratios).sqrt()]).round().long().clamp(min=1)
    whole = constant((height, width), torch.int64, index.device)[:, None, None]
    sides = torch.cat([sides, whole.expand(2, 1, len(index))], dim=1)  # (2, attempts + 1, batch)
    first = (sides <= whole).all(dim=0).int().argmax(dim=0)  # argmax returns the first of equal maxima
    heights, widths = sides.gather(1, first.expand(2, 1, -1))[:, 0]
    tops = uniform_integers(key("top"), index, height - heights + 1)
    lefts = uniform_integers(key("left"), index, width - widths + 1)
    return torch.stack([tops, lefts, heights, widths])


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return which pixels are in the box of each image: (batch, 1, height, width), bool.

    ``boxes`` is (4, batch), as `draw_boxes` returns them.
    """
    tops, lefts, heights, widths = boxes[:, :, None]
    rows, columns = (torch.arange(side, device=boxes.device) for side in (height, width))
    is_row = (rows >= tops) & (rows < tops + heights)
    is_column = (columns >= lefts) & (columns < lefts + widths)
    is_in: Tensor = is_row[:, None, :, None] & is_column[:, None, None]
    return is_in
