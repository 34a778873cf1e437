"""Images in files of any format that PIL reads, as one tensor of square colour images."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cktf.data.eight_bits import MADE_BY, NoRange, eight_bit_colour
from cktf.data.pixel_file import mapped_images
from cktf.errors import InputError

_AT_A_TIME = 1024  # images in memory while files are decoded


def read_image_files(name: str, files: Sequence[Path], side: int, *, is_kept: bool = True) -> Tensor:
    """Return images that are decoded once and mapped from then on (see `cktf.data.pixel_file`).

    They are decoded again when a file's path, size or time of change is another one. What is made of an image's mode,
    rotation and transparency: see `cktf.data.eight_bits`.

    Args:
        name: Of the data set and its part.
        files: At least one.
        side: Of the square, in pixels, to which each image is scaled and cut, out of its middle.
        is_kept: As for `cktf.data.pixel_file.mapped_images`.

    Returns:
        (samples, 3, side, side), uint8.

    Raises:
        ValueError: If a file is no image or is of a mode without a stated range, or the decoded images cannot be
            written.
    """
    states = [(file, file.stat()) for file in files]
    sources = [MADE_BY, *(f"{file.absolute()} {state.st_size} {state.st_mtime_ns}" for file, state in states)]
    return mapped_images(
        name, sources, (len(files), 3, side, side), lambda: _decode(files, side), is_kept=is_kept
    )


def image_names(folder: Path) -> list[str]:
    """Return the names of the images directly in a folder, sorted: those that end as a format that PIL reads does.

    There are none where there is no such folder.
    """
    from PIL import Image

    if not folder.is_dir():
        return []
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    names = (entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    return sorted(name for name in names if Path(name).suffix.lower() in suffixes)


def _decode(files: Sequence[Path], side: int) -> Iterator[Tensor]:
    # Threads will do, for PIL decodes and scales without Python's lock.
    # Only some systems tell which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, len(files), _AT_A_TIME):
            some = files[start : start + _AT_A_TIME]
            yield torch.stack(list(pool.map(lambda file: _square(file, side), some)))


def _square(file: Path, side: int) -> Tensor:
    """Return one image, (3, side, side), uint8: scaled bilinearly with antialiasing, cut where it is too long."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            colour = eight_bit_colour(image)
            square = ImageOps.fit(colour, (side, side), Image.Resampling.BILINEAR)
    except NoRange as error:
        raise InputError(f"data.root: {file} is {error}") from error
    except Exception as error:  # a damaged file raises whatever its bytes lead the decoder to
        raise InputError(f"data.root: {file} is not an image, or is damaged: {error}") from error
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)  # PIL has the channels last
