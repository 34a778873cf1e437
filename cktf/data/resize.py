"""Square images of another side."""

from torch import Tensor
from torch.nn import functional


def resize(images: Tensor, side: int) -> Tensor:
    """Return square images scaled to another side, bilinearly and with antialiasing.

    Args:
        images: (samples, channels, height, width), uint8, height and width equal, on the CPU.
        side: In pixels; images that have it are returned as they are.
    """
    if images.shape[-1] == side:
        return images
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
