"""Files of what was read of teachers: float16 tables under names, mapped, and bounded in size together.

A table is written whole or not at all, and its name says all that decides its content, so it is never wrong, only
there or not. It may be deleted at any time: who has it mapped keeps it, and who wants it computes it again. So the
least recently used make room for new ones, those of killed writers first.

Nothing here fails a trial: where a file cannot be written or read, that is logged once, and the caller goes on with
what it has computed.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cktf.errors import InputError, shown
from cktf.storage import Storage
from cktf.storage.locks import exclusive

DEFAULT_LIMIT = 20.0
"""Gigabytes of all files together, where `$CKTF_CACHE_GB` does not say."""

_SUFFIX = ".float16"

_log = logging.getLogger(__name__)


def size_limit() -> int:
    """Return how many bytes all files together may have: ``$CKTF_CACHE_GB`` times 10^9, by default 20 of them.

    It belongs to the machine's disk, as ``$CKTF_CACHE`` does, and not to a study.

    Raises:
        ValueError: If the variable is not a number of 0 or more.
    """
    text = os.environ.get("CKTF_CACHE_GB", str(DEFAULT_LIMIT))
    with suppress(ValueError):
        if 0 <= (gigabytes := float(text)) < float("inf"):
            return round(gigabytes * 10**9)
    raise InputError(f"$CKTF_CACHE_GB: must be a number of gigabytes, 0 or more; got {shown(text)}")


class ReadingFiles:
    """Tables below one folder.

    Args:
        folder: The folder; it need not be there.
        limit: Bytes that all tables together may have.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._has_complained = False

    def read(self, name: str, rows: int, columns: int) -> Tensor | None:
        """Return a table (rows, columns), float16, CPU, mapped and to be read only; None where it is not there."""
        path = self._path(name)
        try:
            if path.stat().st_size != 2 * rows * columns:
                return None
            with suppress(OSError):  # a file of another user, say, which then only seems older than it is
                os.utime(path)
            values = np.memmap(path, dtype=np.float16, mode="r", shape=(rows, columns))
        except OSError:
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(values)

    def write(self, name: str, table: Tensor) -> None:
        """Write a table, (rows, columns), float16, CPU, and delete the least recently used ones that it displaces."""
        if table.nbytes > self.limit:
            return
        try:
            # One writes at a time, so that the limit holds, and what is half written is a killed writer's.
            with exclusive(self.folder / "lock"):
                self._make_room(table.nbytes)
                Storage(self.folder).write(name + _SUFFIX, table.numpy().tobytes())
        except OSError as error:
            self._complain(error)

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Let one process at a time compute what is called ``name``; the others find it when their turn comes."""
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive(self.folder / f"{name}.lock"))
            except OSError as error:
                self._complain(error)
            yield

    def _path(self, name: str) -> Path:
        return self.folder / (name + _SUFFIX)

    def _make_room(self, size: int) -> None:
        tables = []
        for path in self.folder.rglob(f"*{_SUFFIX}*"):
            if path.suffix == _SUFFIX:
                status = path.stat()
                tables.append((status.st_mtime_ns, status.st_size, path))
            else:
                path.unlink(missing_ok=True)
        excess = size - self.limit + sum(table[1] for table in tables)
        for _, freed, path in sorted(tables):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= freed

    def _complain(self, error: OSError) -> None:
        if not self._has_complained:
            _log.warning("what is read of the teacher is not kept in %s: %s", self.folder, error)
        self._has_complained = True
