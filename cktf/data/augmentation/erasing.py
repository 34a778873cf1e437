"""Random erasing: Zhong, Zheng, Kang, Li and Yang, AAAI 2020, arXiv 1708.04896."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cktf.data.augmentation.boxes import draw_boxes, inside
from cktf.data.augmentation.change import ImageChange
from cktf.data.augmentation.draws import splitmix64, uniform_reals
from cktf.seeding import derive

_SMALLEST, _RATIO = 0.02, 0.3  # share of the image's area; width over height, or the other way round


class RandomErasing(ImageChange):
    """A box of some of the images is painted over (arXiv 1708.04896, algorithm 1; published as RE-R)."""

    probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the images that lose a box."""

    largest: float = Field(default=0.4, gt=_SMALLEST, le=1)
    """Largest share of an image's area in its box; the smallest is 0.02."""

    fill: Literal["random", "black"] = "random"
    """What the box is painted with: a random value for each pixel and channel, or black."""

    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return changed images (batch, channels, height, width), uint8."""
        seed = derive(seed, "random_erasing")
        size = images.shape[1:]
        height, width = size[1:]
        boxes = draw_boxes(index, seed, epoch, height, width, (_SMALLEST, self.largest), (_RATIO, 1 / _RATIO))
        is_erased = uniform_reals(derive(seed, "whether", epoch), index) < self.probability
        is_in = inside(boxes, height, width) & is_erased[:, None, None, None]
        if self.fill == "black":
            return images.masked_fill(is_in, 0)
        num_words = -(-size.numel() // 8)  # each of 64 random bits, which are eight pixels' values
        words = torch.arange(num_words, device=images.device) + index[:, None] * num_words
        paint = splitmix64(derive(seed, "pixels", epoch), words).view(torch.uint8)[:, : size.numel()].view(-1, *size)
        return torch.where(is_in, paint, images)
