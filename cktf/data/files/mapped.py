"""Images that take long to make (decoded, scaled): made once, kept in a file, and mapped by all who read them.

A map costs no memory of its own: what is read stays in the system's file cache, one copy for all workers of a machine,
and goes where memory is wanted for something else. So a data set may be larger than memory.
"""

import errno
import hashlib
import logging
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cktf.data.files.places import data_folder, shown, size_in_words, writing
from cktf.errors import InputError

_LARGE = 2**30  # bytes that take minutes to make, of which the user is told


def mapped_images(
    name: str,
    sources: Iterable[object],
    shape: tuple[int, ...],
    make: Callable[[], Iterator[Tensor]],
    *,
    is_kept: bool = True,
) -> Tensor:
    """Return images from their file below `$CKTF_DATA/pixels`, which is made first where it is not there yet.

    The file holds the pixels and nothing else. It may be deleted at any time, and is then made again.

    Args:
        name: What the file's name begins with.
        sources: All that decides the pixels; its text is hashed into the file's name.
        shape: (samples, channels, height, width).
        make: Yields the images in order, some at a time: (some, channels, height, width), uint8.
        is_kept: Whether there is to be such a file; without, the images are made in memory.

    Returns:
        (samples, channels, height, width), uint8, on the CPU, to be read only.

    Raises:
        ValueError: If the file cannot be written, or what ``make`` raises.
    """
    if not is_kept:
        return torch.cat(list(make()))
    digest = hashlib.sha256(os.fsencode("\n".join(str(part) for part in (shape, *sources)))).hexdigest()
    path = data_folder(None) / "pixels" / f"{name}-{digest[:16]}.uint8"
    size = math.prod(shape)
    try:
        if not _is_whole(path, size):
            _write(path, size, make)
    except OSError as error:
        raise InputError(
            f"{shown(path)} cannot be written: {error.strerror or error}; it needs {size_in_words(size)}: make room "
            "there, or set $CKTF_DATA to a folder that has it and can be written"
        ) from error
    return _map(path, shape)


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _write(path: Path, size: int, make: Callable[[], Iterator[Tensor]]) -> None:
    with writing(path.parent):
        if _is_whole(path, size):  # by another process, while this one waited
            return
        if shutil.disk_usage(path.parent).free < size:  # found out before minutes of work
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if size > _LARGE:
            logging.getLogger(__name__).warning(
                "making %s (%.1f GiB), once; this takes a while", path, size / 2**30
            )
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as stream:
                for images in make():
                    stream.write(images.contiguous().numpy().data)
                stream.flush()
                os.fsync(stream.fileno())  # or a power cut might leave the new name on an empty file
            assert partial.stat().st_size == size, "the shape is that of the images"
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _map(path: Path, shape: tuple[int, ...]) -> Tensor:
    # To be read only: Linux refuses maps larger than memory that might be written to. Of such, PyTorch warns.
    pixels = np.memmap(path, dtype=np.uint8, mode="r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)
