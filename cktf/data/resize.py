"""Square images of another side."""

from torch import Tensor
from torch.nn import functional


def resize(images: Tensor, side: int) -> Tensor:
    """Return square images scaled to another side, bilinearly and with antialiasing.

    Args:
        images: (samples, channels, height, width), uint8, height and width equal.
        side: In pixels; images that have it are returned as they are.
    """
    if images.shape[-1] == side:
        return images
    if images.device.type == "cpu":
        return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    scaled = functional.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    return scaled.round_().to(images.dtype)  # a GPU scales no whole numbers; the difference is at most a level
