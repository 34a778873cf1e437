"""Arrays in memory-mapped files, which all processes of a machine share; a file is written whole or not at all.

Pages that were read are in the system's file cache, once for all processes, and are dropped if memory runs short, so an
array may be larger than memory. A file may be deleted at any time: processes that have mapped it keep its content.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def read_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """Return the array in a file, to be read only; None if there is no such file, or one of another size."""
    if not path.is_file() or path.stat().st_size != math.prod(shape) * np.dtype(dtype).itemsize:
        return None
    # Linux refuses maps larger than memory unless they are read-only.
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def write_array(path: Path, pieces: Iterable[np.ndarray[Any, Any]]) -> None:
    """Write an array piece by piece; a killed writer leaves only ``NAME.partial``.

    One process may write a file at a time (see `cktf.locks.exclusive`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            for piece in pieces:
                stream.write(np.ascontiguousarray(piece).data)
            stream.flush()
            os.fsync(stream.fileno())  # or a power cut might leave the new name on an empty file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
