"""Turns among the processes of a machine, by the lock of a file."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cktf.errors import InputError


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is not there; wait while another process holds it.

    Raises:
        OSError: If the file cannot be made.
        ValueError: If the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # released by the kernel when the holder dies
        except OSError as error:
            raise InputError(
                f"{path} cannot be locked: {error.strerror or error}; the file system of this folder has no locks, "
                "which keep processes out of each other's way; name a folder on another one"
            ) from error
        yield
