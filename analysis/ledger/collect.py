"""Ledger -> ``trials.parquet`` and ``epochs.parquet``: typed, flat columns, a row for each trial and each epoch."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa

from analysis.facts import Facts
from analysis.ledger.columns import metadata_of, parquet_bytes
from analysis.ledger.epochs import EPOCHS_FILE, epochs_table
from analysis.ledger.pieces import (
    NO_EPOCHS,
    OTHER_SCHEMA,
    PLACE,
    Ledger,
    Parsed,
    Piece,
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
from cktf.storage import absolute, below, has_file, open_folder, read, without_slash, write_all

Engine = Callable[[Sequence[Piece], Callable[[Piece], Parsed]], Iterable[Parsed]]
"""Parses the pieces of a ledger, in this process or elsewhere, and returns them in any order."""


def parsed_here(pieces: Sequence[Piece], parse: Callable[[Piece], Parsed]) -> list[Parsed]:
    """Parse pieces in this process, in threads: most of the work is in compiled code, which runs in parallel."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(parse, pieces))


def collect(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, engine: Engine = parsed_here
) -> tuple[str, str]:
    """Write the two tables of a run, of trials and of epochs, and return their places.

    Args:
        run: The run directory, a folder or a URI.
        out: Where the tables go; ``RUN/report`` by default.
        engine: Function that parses the ledger's pieces.

    Raises:
        InputError: If there is no ledger, or a line of it is broken other than by a killed writer; or if a file that no
            earlier report wrote is in the place of one of the tables.
    """
    place = report_place(run, out)
    trials, epochs = ledger_tables(run, engine)
    Record(place).claim({TRIALS_FILE, EPOCHS_FILE})
    write_all(open_folder(place), {TRIALS_FILE: parquet_bytes(trials), EPOCHS_FILE: parquet_bytes(epochs)})
    return below(place, TRIALS_FILE), below(place, EPOCHS_FILE)


def report_place(run: str | os.PathLike[str], out: str | os.PathLike[str] | None) -> str:
    """Return where the report of a run goes: ``RUN/report`` unless ``out`` says otherwise."""
    return below(run, "report") if out is None else without_slash(out)


def ledger_tables(run: str | os.PathLike[str], engine: Engine = parsed_here) -> tuple[pa.Table, pa.Table]:
    """Return the table of trials and the table of epochs of a run, and write nothing; see `collect`."""
    folder = open_folder(run)
    files = ledger_files(folder)
    segments = segments_of(folder, files)
    try:
        parsed = list(engine(pieces_of(segments), partial(parse_piece, absolute(run))))
        others = pa.concat_tables([OTHER_SCHEMA.empty_table(), *(rows.others for rows in parsed)])
        epochs = pa.concat_tables([NO_EPOCHS, *(rows.epochs for rows in parsed)], promote_options="default")
        ledger = Ledger.of(others.sort_by(PLACE))
        ledger.refuse_early(epochs)
    except ValueError:
        refuse_broken_lines(folder, segments)
        raise
    if not ledger.launches:
        raise InputError(f"{os.fspath(run)}: no study row in ledger/, so this is not a run directory")
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
        torn_lines=sum(segment.end < segment.size for segment in segments),
        ledger=fingerprint(files),
    )
    table, final = epochs_table(ledger, epochs)
    return trials_table(ledger, teachers, final).replace_schema_metadata(metadata_of(facts)), table
