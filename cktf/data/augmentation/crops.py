"""Random crops, flips and normalisation of a whole batch, on the device that holds it.

The resized crop is that of Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6, with the ranges
usual in PyTorch.
"""

import torch
from torch import Tensor
from torch.nn import functional

from cktf.data.augmentation.config import Augmentation
from cktf.data.augmentation.draws import uniform_integers
from cktf.seeding import derive


def draw(augmentation: Augmentation, index: Tensor, seed: int, epoch: int) -> Tensor:
    """Return the crop and flip drawn for each sample in an epoch: (3, batch), int64.

    The rows are the window's first row and column in the padded image, and 1 if it is mirrored. ``index`` (batch,) are
    the samples' positions in the training split; ``epoch`` counts from 1.
    """
    num_offsets = 2 * augmentation.crop + 1
    num_values = {"row": num_offsets, "column": num_offsets, "flip": 2 if augmentation.flip else 1}
    keys = {purpose: derive(seed, "augmentation", purpose, epoch) for purpose in num_values}
    return torch.stack([uniform_integers(keys[purpose], index, count) for purpose, count in num_values.items()])


def crop_and_flip(images: Tensor, draws: Tensor, padding: int) -> Tensor:
    """Return a window of each padded image, mirrored if so drawn: (batch, channels, height, width), uint8, as before.

    ``draws`` are (3, batch), as `draw` returns them for a crop of ``padding``.
    """
    batch, channels, height, width = images.shape
    padded = functional.pad(images, (padding, padding, padding, padding))
    both = torch.stack([padded, padded.flip(-1)])  # (2, batch, channels, padded height, padded width)
    # A window is `height` runs of `width` pixels in each channel. Reading whole runs, from a view with one
    # run for every first pixel, takes a quarter of the time of a gather by pixel.
    rows, columns, flips = draws
    samples, planes, lines = (torch.arange(n, device=images.device) for n in (batch, channels, height))
    flip_stride, sample_stride, plane_stride, line_stride, _ = both.stride()
    first = flips * flip_stride + samples * sample_stride + rows * line_stride + columns
    starts = first[:, None, None] + planes[:, None] * plane_stride + lines * line_stride
    runs = both.flatten().unfold(0, width, 1)
    return runs.index_select(0, starts.flatten()).view(batch, channels, height, width)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 images (batch, channels, height, width), scaled to [0, 1] and normalised, as float32.

    Mean and standard deviation (channels,) are of images in [0, 1].
    """
    # (channels, 1, 1) broadcasts over (batch, channels, height, width)
    return images.float().sub_(255 * mean[:, None, None]).mul_(1 / (255 * std[:, None, None]))


def resized_crop(images: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Return a box of each image, scaled to (height, width) bilinearly, with antialiasing, from the pixels in the box.

    ``images`` are (batch, channels, rows, columns), uint8, and ``boxes`` (4, batch), as `draw_boxes` returns them.
    """
    tops, lefts, heights, widths = boxes
    of_rows = _shares(tops, heights, images.shape[2], height)[:, None]  # the same for all channels
    of_columns = _shares(lefts, widths, images.shape[3], width)[:, None]
    scaled = of_rows @ images.float() @ of_columns.mT
    return scaled.round_().to(torch.uint8)


def _shares(starts: Tensor, lengths: Tensor, num_pixels: int, num_new: int) -> Tensor:
    """Return the weights of the old pixels in each new one, along one axis: (batch, num_new, num_pixels), float32.

    A weight falls linearly with the distance of the two centres, to 0 at the width of the wider of the two pixels. The
    weights of a new pixel add up to 1. ``starts`` and ``lengths`` (batch,) are the boxes'.
    """
    starts, lengths = starts[:, None, None], lengths[:, None, None]
    pixels = torch.arange(num_pixels, device=starts.device)
    scale = lengths / num_new
    centres = starts + (torch.arange(num_new, device=starts.device)[:, None] + 0.5) * scale
    shares = (1 - (pixels + 0.5 - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    shares = shares * ((pixels >= starts) & (pixels < starts + lengths))
    return shares / shares.sum(2, keepdim=True)
