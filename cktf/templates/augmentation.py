"""An augmentation: a study names this file under ``plugins:``, and ``augmentation: {erase: {side: 3}}``."""

from pydantic import Field
from torch import Tensor, arange

from cktf.data import ImageChange, uniform_integers
from cktf.seeding import derive


class Erase(ImageChange):
    """Black out a square at a random place of each image; its settings are the class's own fields."""

    side: int = Field(default=2, ge=1)
    """Side of the square in pixels."""

    def __call__(self, images: Tensor, index: Tensor, *, seed: int, epoch: int) -> Tensor:
        """Return images (batch, channels, height, width), uint8, each with a black square."""
        rows, columns = (
            (arange(length, device=images.device) - self._first(purpose, index, length, seed, epoch)[:, None])
            for purpose, length in zip(("row", "column"), images.shape[2:], strict=True)
        )
        is_in = ((rows >= 0) & (rows < self.side))[:, :, None] & ((columns >= 0) & (columns < self.side))[:, None]
        return images.masked_fill(is_in[:, None], 0)

    def _first(self, purpose: str, index: Tensor, length: int, seed: int, epoch: int) -> Tensor:
        """Return the square's first row or column in each image, a hash of seed, epoch and sample index."""
        return uniform_integers(derive(seed, "erase", purpose, epoch), index, max(1, length - self.side + 1))


AUGMENTATIONS = {"erase": Erase}
