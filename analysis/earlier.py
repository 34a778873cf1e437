"""What an earlier collection has read, so that the next one reads only what was written since.

``rows.parquet`` lies beside the tables: the ledger's rows that are no epochs, word for word, and in its metadata how
far which segment was read and what was written. It is there only while the tables are whole. Segments only grow, and
only the last of them; whatever does not look like that is no prefix of the ledger, and everything is read again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet
from pyarrow import fs

from analysis import epochs
from analysis.epochs import FINAL_METRICS, FOLDER, TRIAL
from analysis.folder import has_file, write
from analysis.ledger import Segment
from analysis.parquet import SCHEMA_METADATA, parquet_bytes
from analysis.trials import LAST_EPOCH, TRIALS_FILE

FILE = "rows.parquet"
READ_KEY = b"cktf.read"
"""To be renamed where `Read` changes, so that the record of an earlier version is none."""

TAIL_BYTES = 4096
"""Of the last segment, before the end of what was read: are they the same, so is what stands before them."""


@dataclass(frozen=True)
class Read:
    """How far the ledger was read, and what was written.

    Attributes:
        segments: All there were.
        tail: Hash of the last bytes that were read.
        terms: Columns of objectives' terms, and of health.
        sizes: File of the two tables to its size in bytes.
        trials_per_part: As they were divided.
    """

    segments: list[Segment]
    tail: str
    terms: list[str]
    sizes: dict[str, int]
    trials_per_part: int


@dataclass(frozen=True)
class Earlier:
    """An earlier collection that can be gone on with.

    Attributes:
        read: How far it came.
        others: The rows that are no epochs, in order.
        final: Trials' last epochs, in the order of planning; null where there is none.
    """

    read: Read
    others: pa.Table
    final: pa.Table


def find_earlier(
    report: fs.SubTreeFileSystem, run: fs.SubTreeFileSystem, files: Sequence[fs.FileInfo]
) -> Earlier | None:
    """Return the collection that lies in a report directory; None where it is not one of a prefix of this ledger.

    Args:
        report: Where it would lie.
        run: The run directory.
        files: Those of its ledger.
    """
    read = _read_of(report)
    if (
        read is None
        or read.trials_per_part != epochs.TRIALS_PER_PART
        or not _is_prefix(read, run, files)
        or _table_sizes(report) != read.sizes
    ):
        return None
    rows = pa.parquet.read_table(FILE, filesystem=report)
    names = [LAST_EPOCH, *FINAL_METRICS]
    final = pa.parquet.read_table(TRIALS_FILE, filesystem=report, columns=names)
    final = final.rename_columns(["epoch", *FINAL_METRICS]).add_column(
        0, TRIAL, pa.array(range(final.num_rows))
    )
    return Earlier(read, rows.replace_schema_metadata(), final.replace_schema_metadata())


def is_whole(report: fs.SubTreeFileSystem) -> bool:
    """Return whether the tables in a report directory are those of one collection, which came to its end."""
    read = _read_of(report)
    return read is not None and _table_sizes(report) == read.sizes


def forget_earlier(report: fs.SubTreeFileSystem) -> None:
    """Take the record of a collection away; its tables are about to change."""
    if has_file(report, FILE):
        report.delete_file(FILE)


def remember(report: fs.SubTreeFileSystem, read: Read, others: pa.Table) -> None:
    """Write the record of a collection, whose tables are written."""
    metadata = {**SCHEMA_METADATA, READ_KEY: json.dumps(asdict(read)).encode()}
    write(report, FILE, parquet_bytes(others.replace_schema_metadata(metadata)))


def tail_of(run: fs.SubTreeFileSystem, segments: Sequence[Segment]) -> str:
    """Return a hash of the last whole lines of the last segment."""
    if not segments:
        return ""
    last = segments[-1]
    start = max(0, last.end - TAIL_BYTES)
    with run.open_input_file(f"ledger/{last.name}") as file:
        return hashlib.sha256(file.read_at(last.end - start, start)).hexdigest()


def _read_of(report: fs.SubTreeFileSystem) -> Read | None:
    """Return what the record in a report directory says; None where there is none of this version, or a damaged one."""
    if not has_file(report, FILE):
        return None
    try:
        metadata = pa.parquet.read_schema(FILE, filesystem=report).metadata or {}
    except pa.ArrowInvalid:
        return None
    if any(metadata.get(key) != value for key, value in SCHEMA_METADATA.items()) or READ_KEY not in metadata:
        return None
    values = json.loads(metadata[READ_KEY])
    return Read(**values | {"segments": [Segment(*segment) for segment in values["segments"]]})


def _is_prefix(read: Read, run: fs.SubTreeFileSystem, files: Sequence[fs.FileInfo]) -> bool:
    """Return whether the ledger still begins with what was read of it."""
    known = read.segments
    now = [(info.base_name, info.size) for info in files[: len(known)]]
    if [name for name, _ in now] != [segment.name for segment in known]:
        return False
    if any(size != segment.size for (_, size), segment in zip(now[:-1], known[:-1], strict=True)):
        return False
    if now and now[-1][1] < known[-1].size:
        return False
    return tail_of(run, known) == read.tail


def _table_sizes(report: fs.SubTreeFileSystem) -> dict[str, int]:
    infos = report.get_file_info(fs.FileSelector(FOLDER, allow_not_found=True))
    infos += report.get_file_info([TRIALS_FILE])
    return {info.path: info.size for info in infos if info.is_file}
