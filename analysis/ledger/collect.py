"""Ledger -> ``trials.parquet`` and ``epochs.parquet``: typed, flat columns, a row a trial and a row an epoch."""

import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from pyarrow import fs

from analysis.facts import Facts
from analysis.ledger.columns import metadata_of, parquet_bytes
from analysis.ledger.epochs import (
    FOLDER,
    PART,
    TRIAL,
    EpochTable,
    part_name,
    write_part,
)
from analysis.ledger.lines import NAMED
from analysis.ledger.pieces import (
    NO_EPOCHS,
    OTHER_SCHEMA,
    PLACE,
    Ledger,
    Parsed,
    Piece,
    Segment,
    fingerprint,
    ledger_files,
    parse_piece,
    pieces_of,
    refuse_broken_lines,
    segments_of,
)
from analysis.ledger.trials import TRIALS_FILE, trials_table
from analysis.record import Record
from cktf.errors import InputError
from cktf.storage import absolute, below, has_file, open_folder, read, without_slash, write


class Rows(Protocol):
    """The parsed rows of a ledger, wherever they are held."""

    others: pa.Table
    """The rows that are no epochs (`analysis.ledger.pieces.OTHER_SCHEMA`), in order."""

    terms: set[str]
    """The columns of objectives' terms, and of health, that any of the epochs has."""

    first_epochs: pa.Table
    """Of each piece the first epoch of each trial: ``trial_id`` and `analysis.ledger.pieces.PLACE`."""

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        """Bring the epochs of each part together, and return what ``write`` returns of each.

        Args:
            number: Adds the column `analysis.ledger.epochs.PART` to any of the epochs.
            write: Takes a part's number and all its epochs, in any order.
        """


Engine = Callable[[Sequence[Piece], Callable[[Piece], Parsed]], Rows]
"""Parses the pieces of a ledger: in this process, or on many machines."""


class RowsInMemory:
    """The rows of some pieces of a ledger, in the memory of this process, parsed on all its cores.

    Most of that is compiled code, so that threads do it at the same time. See `Rows`.
    """

    def __init__(self, pieces: Sequence[Piece], parse: Callable[[Piece], Parsed]) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parsed = list(threads.map(parse, pieces))
        self.others = pa.concat_tables([OTHER_SCHEMA.empty_table(), *(rows.others for rows in parsed)])
        self.epochs = [rows.epochs for rows in parsed if rows.epochs.num_rows]
        names = {name for rows in self.epochs for name in rows.column_names}
        self.terms = {name for name in names if name.startswith(tuple(NAMED.values()))}
        columns = [rows.select(["trial_id", PLACE]) for rows in (NO_EPOCHS, *self.epochs)]
        firsts = [rows.group_by("trial_id").aggregate([(PLACE, "min")]) for rows in columns]
        self.first_epochs = pa.concat_tables(firsts).rename_columns({f"{PLACE}_min": PLACE})

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        """Bring the epochs of each part together, and return what ``write`` returns of each, in order."""
        if not self.epochs:
            return []
        rows = number(pa.concat_tables(self.epochs, promote_options="default"))
        part = rows[PART].to_numpy()
        if (part[1:] < part[:-1]).any():  # trials are trained in their order, so that most parts stand together
            order = np.argsort(part, kind="stable")
            rows, part = rows.take(pa.array(order)), part[order]
        numbers, starts = np.unique(part, return_index=True)
        parts = [rows.slice(start, stop - start) for start, stop in itertools.pairwise([*starts, len(part)])]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return list(threads.map(write, numbers.tolist(), parts))


class Content(NamedTuple):
    """What a run directory holds: its ledger's files, all rows, those that are no epochs, and the table of epochs."""

    files: list[fs.FileInfo]
    segments: list[Segment]
    rows: Rows
    ledger: Ledger
    epochs: EpochTable

    def by_part(self, write: Callable[[int, pa.Table], pa.Table]) -> list[pa.Table]:
        """Return what ``write`` returns of each part of the students' epochs (see `Rows.by_part`)."""
        has_any = self.epochs.numbered(self.rows.first_epochs).num_rows  # Ray Data cannot shuffle empty blocks alone
        return self.rows.by_part(self.epochs.numbered, write) if has_any else []


def collect(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, engine: Engine = RowsInMemory
) -> tuple[str, str]:
    """Write the two tables of a run and return their places: that of trials is a file, that of epochs a folder.

    Args:
        run: The run directory, a folder or a URI.
        out: Where the tables go; ``RUN/report`` by default.
        engine: What parses the ledger.

    Raises:
        ValueError: If there is no ledger, or a line of it is broken other than by a killed writer; or if a file that is
            none of an earlier report's is in the place of one of the tables.
    """
    place = report_place(run, out)
    content = _read(run, engine)
    record, num_trials = Record(place), content.epochs.trials.num_rows
    record.claim({TRIALS_FILE, *(part_name(n) for n in range(num_trials // content.epochs.trials_per_part + 1))})
    write_epochs = partial(write_part, absolute(place), content.epochs)
    written = content.by_part(write_epochs)
    if not written:
        written = [write_epochs(0, content.epochs.numbered(NO_EPOCHS))]
    write(open_folder(place), TRIALS_FILE, parquet_bytes(_trials(run, content, written)))
    parts = {part_name(0), *(part_name(n) for part in written for n in part[PART].unique().to_pylist())}
    record.release({name for name in record.names if name.startswith(f"{FOLDER}/")} - parts)
    return below(place, TRIALS_FILE), below(place, FOLDER)


def report_place(run: str | os.PathLike[str], out: str | os.PathLike[str] | None) -> str:
    """Return where the report of a run goes: ``RUN/report`` unless ``out`` says otherwise."""
    return below(run, "report") if out is None else without_slash(out)


def ledger_tables(run: str | os.PathLike[str]) -> tuple[pa.Table, pa.Table]:
    """Return the table of trials and the table of epochs of a run, and write nothing; see `collect`."""
    content = _read(run, RowsInMemory)
    parts: dict[int, pa.Table] = {}

    def keep(number: int, rows: pa.Table) -> pa.Table:
        parts[number], final = content.epochs.part(rows)
        return final

    finals = content.by_part(keep)
    epochs = [parts[number] for number in sorted(parts)] or [content.epochs.part(content.epochs.numbered(NO_EPOCHS))[0]]
    return _trials(run, content, finals), pa.concat_tables(epochs)


def _read(run: str | os.PathLike[str], engine: Engine) -> Content:
    folder = open_folder(run)
    files = ledger_files(folder)
    segments = segments_of(folder, files)
    try:
        rows = engine(pieces_of(segments), partial(parse_piece, absolute(run)))
        ledger = Ledger.of(rows.others)
        ledger.refuse_early(rows.first_epochs)
    except ValueError:
        refuse_broken_lines(folder, segments)
        raise
    if not ledger.launches:
        raise InputError(f"{os.fspath(run)}: no study row in ledger/, so this is not a run directory")
    return Content(files, segments, rows, ledger, EpochTable.of(ledger, rows.terms))


def _trials(run: str | os.PathLike[str], content: Content, finals: Iterable[pa.Table]) -> pa.Table:
    """Return the table of trials, with the facts of the run."""
    folder, ledger = open_folder(run), content.ledger
    schema = content.epochs.final_schema
    final = pa.concat_tables([schema.empty_table(), *(table.select(schema.names) for table in finals)])
    last = np.full(len(ledger.planned), -1)
    last[final[TRIAL].to_numpy()] = np.arange(final.num_rows)
    teachers = {}
    for teacher_id in dict.fromkeys(row.teacher_id for row in ledger.planned.values() if row.teacher_id):
        if has_file(folder, name := f"teachers/{teacher_id}.json"):
            teachers[teacher_id] = json.loads(read(folder, name)).get("result", {})
    name = "study.yaml"
    try:
        study_file = read(folder, name).decode() if has_file(folder, name) else ""
    except UnicodeDecodeError:
        raise InputError(f"{os.fspath(run)}/{name}: is not UTF-8 text") from None
    facts = Facts(
        launches=ledger.launches,
        looks=ledger.looks,
        study_file=study_file,
        teachers=list(ledger.teachers.values()),
        torn_lines=sum(segment.end < segment.size for segment in content.segments),
        ledger=fingerprint(content.files),
    )
    trials = trials_table(ledger, teachers, final.take(pa.array(last, mask=last < 0)))
    return trials.replace_schema_metadata(metadata_of(facts))
