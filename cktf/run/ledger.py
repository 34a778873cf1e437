"""The ledger: the only truth about a study, as rows that are appended and never changed.

``RUN/ledger/000001.jsonl``, ``000002.jsonl``, ... are its segments; they and their lines are in the order of events.

In a folder, each session of the driver appends its rows to its own segment, each with one ``write``: a killed driver
loses nothing and leaves at most one torn line at the segment's end. In a bucket, which has no append, a session writes
whole segments, immediately if a row must not be lost. Their names (``000003-5f1c09ae.jsonl``) are that session's alone:
no driver ever writes over another's rows, even if it has lost its lease without knowing it.
"""

import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from filelock import FileLock, Timeout

from cktf.errors import naming
from cktf.ledger_lines import SEGMENT, RowReader, whole_lines
from cktf.locks import acquired
from cktf.rows import EndRow, EpochRow, Row
from cktf.run.lease import Lease, has_lease, holder_of_this, in_use
from cktf.storage import PATIENCE, Storage

FOLDER = "ledger"
SUFFIX = ".jsonl"
LOCK = "driver.lock"

FLUSH_SECONDS = 5.0
"""Least time between two writes to a bucket that hold only epochs. A killed driver does not lose waiting epochs,
because a checkpoint has them."""

_EPOCH, _TRIAL = b'{"kind":"epoch",', b',"trial_id":"'
"""Beginning of an epoch's line as a driver writes it, and the text before its trial id, near the line's end."""

LOCK_SECONDS = 1.0
"""How long a driver tries to get the lock, which 'cktf status' holds for an instant."""


def read_ledger(run: Storage) -> Iterator[Row]:
    """Yield the rows of a run's ledger in the order in which they were written.

    A last line of a segment that is torn, by a kill in the middle of a write, is left out.

    Raises:
        InputError: If any other line is no row, or precedes a row that it needs (the message names segment and line),
            or the place cannot be read.
    """
    reader = RowReader()
    for line, place in _lines(run):
        yield reader.read(line, place)


def read_latest(run: Storage) -> Iterator[Row]:
    """Yield the rows of a run's ledger with only the last epoch of each trial, which comes before the trial's end.

    Counts and scores follow from these. The values of the other epochs are not looked at, so that a large ledger is
    read some fifty times as fast; errors in them are left to `read_ledger`, which resume and report use. For the rows
    that it yields, it raises the same errors.
    """
    reader = RowReader()
    latest: dict[bytes, tuple[bytes, str]] = {}
    for line, place in _lines(run):
        if line.startswith(_EPOCH) and line.endswith(b"}") and (at := line.rfind(_TRIAL)) > 0:
            latest[line[at + len(_TRIAL) : line.find(b'"', at + len(_TRIAL))]] = line, place
            continue
        row = reader.read(line, place)
        if isinstance(row, EndRow) and (epoch := latest.pop(row.trial_id.encode(), None)):
            yield reader.read(*epoch)
        yield row
    for line, place in latest.values():
        yield reader.read(line, place)


def _lines(run: Storage) -> Iterator[tuple[bytes, str]]:
    """Yield each line of a run's ledger, with its file and line number for error messages."""
    segments = run.child(FOLDER)
    with naming(segments.root):
        names = _names(segments)
    segments.patience = segments.patience or PATIENCE  # it has answered: from here on, failing requests are repeated
    contents = segments.read_all(names)
    for name in names:
        with naming(segments.root):
            content = next(contents)
        for number, line in enumerate(whole_lines(content), start=1):
            yield line, f"{segments.full(name)}, line {number}"


def is_in_use(run: Storage) -> bool:
    """Return whether a driver has the run open now; False if that cannot be known."""
    if not run.is_local:
        with naming(run.root):
            return has_lease(run)
    path = Path(run.full(LOCK))
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks, or somebody else's file
        return False
    return False


class Ledger:
    """Writes the rows of one session of the driver to a run's ledger.

    Raises:
        RunInUse: If another driver has this run open.
        OSError: If the place cannot be written.
    """

    def __init__(self, run: Storage) -> None:
        self.run = run
        self._segments = run.child(FOLDER)
        self._lock: FileLock | Lease | None = _lock(run) if run.is_local else Lease(run)
        self._session = "" if run.is_local else f"-{secrets.token_hex(4)}"
        names = _names(self._segments)
        self._number = int(names[-1][:6]) if names else 0
        self._file: BinaryIO | None = None
        self._waiting: list[bytes] = []
        self._is_planning = False
        self._flushed = time.monotonic()

    def append(self, row: Row) -> None:
        """Write one row; raise an OSError if that fails, as on a full disk. The run stays readable."""
        line = row.to_json().encode() + b"\n"
        if self.run.is_local:
            self._file = self._file or self._open_segment()
            written = 0
            try:
                written = self._file.write(line)
            finally:
                if written < len(line):
                    self._close_segment()  # a torn line may only be a segment's last: the next row begins another
            if written < len(line):
                raise OSError(f"{self._segments.path}: a row could not be written whole; is the disk full?")
            return
        self._waiting.append(line)
        must_last = not (isinstance(row, EpochRow) or self._is_planning)
        if must_last or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Buffer the rows that are appended inside: if they are lost, they are planned again."""
        self._is_planning = True
        try:
            yield
        finally:
            self._is_planning = False
        self.flush()

    def flush(self) -> None:
        """Write the buffered rows into a bucket, as one segment.

        Raises:
            RunInUse: If another driver has taken over.
            OSError: If they could not be written.
        """
        if self._waiting:
            if isinstance(self._lock, Lease):
                self._lock.require()
            self._segments.write(self._next_name(), b"".join(self._waiting))
            self._waiting.clear()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write the buffered rows and free the lock."""
        try:
            self.flush()
        finally:
            self._close_segment()
            if self._lock:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError) if error else nullcontext():  # the first error says more
            self.close()

    def _close_segment(self) -> None:
        file, self._file = self._file, None
        if file:
            file.close()

    def _open_segment(self) -> BinaryIO:
        path = Path(self._segments.full(self._next_name()))
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that a killed driver loses no line that was written.
        return path.open("xb", buffering=0)

    def _next_name(self) -> str:
        self._number += 1
        return f"{self._number:06d}{self._session}{SUFFIX}"


def _names(segments: Storage) -> list[str]:
    return [name for name in segments.names(SUFFIX) if SEGMENT.fullmatch(name)]


def _lock(run: Storage) -> FileLock:
    path = Path(run.full(LOCK))
    try:
        lock = acquired(path, LOCK_SECONDS)
    except Timeout:
        raise in_use(run.root, path.read_bytes()) from None
    path.write_bytes(holder_of_this())
    return lock
