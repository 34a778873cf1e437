"""Files of teachers' readings: float16 tables, mapped, and bounded in size together.

Files are named by a hash of everything that determines their content, so a file is either absent or valid. Deleting one
is safe: readers keep their map, others compute it again. So the least recently used make room for new ones, those of
killed writers first.

Nothing here fails a trial: if a file cannot be written or read, that is logged once, and the caller goes on with the
values it has computed.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from torch import Tensor

from cktf.data.files.mapped import as_tensor
from cktf.errors import InputError, shown
from cktf.locks import exclusive
from cktf.mapped_arrays import read_array, write_array

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
        """Return a table (rows, columns), float16, CPU, mapped and to be read only; None if it is not there."""
        path = self._path(name)
        try:
            values = read_array(path, np.float16, (rows, columns))
        except OSError:
            return None
        if values is None:
            return None
        with suppress(OSError):  # a file of another user, say, which then only seems older than it is
            os.utime(path)
        return as_tensor(values)

    def write(self, name: str, table: Tensor) -> None:
        """Write a table, (rows, columns), float16, CPU, and delete the least recently used ones that it displaces."""
        if table.nbytes > self.limit:
            return
        try:
            # One writes at a time, so that the limit holds, and what is half written is a killed writer's.
            with exclusive(self.folder / "lock"):
                self._make_room(table.nbytes)
                write_array(self._path(name), [table.numpy()])
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
