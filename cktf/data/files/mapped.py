"""Images that take long to make (decoded, scaled): made once, stored in a file, and mapped by all who read them."""

import errno
import hashlib
import logging
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cktf.data.files.places import data_folder
from cktf.errors import InputError
from cktf.locks import exclusive
from cktf.mapped_arrays import read_array, write_array

_LARGE = 2**30  # bytes above which the user is warned that making the file takes minutes


def mapped_images(
    name: str, sources: Iterable[object], shape: tuple[int, ...], make: Callable[[], Iterator[Tensor]]
) -> Tensor:
    """Return images from their file below `$CKTF_DATA/pixels`, which is made first if it is not there yet.

    The file holds the pixels and nothing else, and may be deleted at any time. Its name is ``name`` and a hash of
    ``shape`` and ``sources``, texts of everything that determines the pixels. The images, of a ``shape`` (samples,
    channels, height, width), are uint8, on the CPU, read-only; ``make`` yields them in order, some at a time.

    Raises:
        ValueError: If the file cannot be written.
    """
    digest = hashlib.sha256(os.fsencode("\n".join(str(part) for part in (shape, *sources)))).hexdigest()
    path = data_folder(None) / "pixels" / f"{name}-{digest[:16]}.uint8"
    try:
        pixels = read_array(path, np.uint8, shape)
        if pixels is None:
            with exclusive(path.parent / ".lock"):  # trials that start together need the same images
                pixels = read_array(path, np.uint8, shape)  # another process may have been first
                if pixels is None:
                    _write(path, math.prod(shape), make)
                    pixels = read_array(path, np.uint8, shape)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; it needs {math.prod(shape) / 2**30:.3g} GiB: "
            "make room there, or set $CKTF_DATA to a folder that has it and can be written"
        ) from error
    assert pixels is not None, "the shape is that of the images"
    return as_tensor(pixels)


def as_tensor(mapped: np.ndarray[Any, Any]) -> Tensor:
    """Return a read-only array as a tensor on the same memory; writing to it ends the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(mapped)


def _write(path: Path, size: int, make: Callable[[], Iterator[Tensor]]) -> None:
    if shutil.disk_usage(path.parent).free < size:  # found out before minutes of work
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if size > _LARGE:
        logging.getLogger(__name__).warning("making %s (%.1f GiB), once; this takes a while", path, size / 2**30)
    write_array(path, (images.numpy() for images in make()))
