"""Run directory, or Parquet tables alone -> `Results`."""

import math
import os
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from pyarrow import fs

from analysis.collect import ledger_tables
from analysis.epochs import FINAL_METRICS
from analysis.folder import has_file, open_folder, without_slash
from analysis.ledger import ledger_files
from analysis.parquet import FACTS_KEY, VERSION_KEY
from analysis.results import Facts, Results
from cktf.errors import InputError, naming
from cktf.rows import SCHEMA_VERSION, Status
from cktf.storage import absolute

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("seed", "number", "epochs", "wall_seconds", *FINAL_METRICS)
"""Columns of trials that hold numbers."""

LATER_COLUMNS: dict[str, str | float] = {
    "context": "",
    "aliases": "",
    "teacher_id": "",
    "teacher_test_loss": math.nan,
    "teacher_test_accuracy": math.nan,
}
"""Columns of trials that tables of the same schema version may lack, for they were added to it; what they then hold."""

NEEDED = {
    "trials.parquet": (
        *("run", "trial_id", "arm", "arm_id", "is_baseline", "seed", "stage", "number", "status", "reason"),
        *("epochs", "wall_seconds", "device", "node"),
    ),
    "epochs.parquet": ("trial_id", "arm_id", "epoch", "phase"),
}
"""Table to the columns that reports read, beside the metrics of the study."""


def load(place: str | os.PathLike[str], *more: str | os.PathLike[str]) -> Results:
    """Return the results of a run, or of several runs read together as `analysis.unite` has it. Nothing is written.

    Args:
        place: A run directory, or a folder with ``trials.parquet`` and the folder ``epochs.parquet`` alone, or one of
            these two; or a URI.
        more: Of further runs.

    Raises:
        ValueError: If there are neither a ledger nor tables, the tables are of another schema version or lack what
            they had, or the runs cannot be read together.
    """
    from analysis.unite import united

    once: dict[str, str] = {}
    for run in (place, *more):
        once.setdefault(_folder_of(os.fspath(run)), os.fspath(run))
    results = {}
    for run in once.values():
        with naming(run):
            results[run] = _load_one(run)
    return united(results) if len(results) > 1 else next(iter(results.values()))


def _folder_of(place: str) -> str:
    """Return the folder that a place stands for, alike however it is written: by links, with slashes, or its tables."""
    text, mark, options = place.partition("?") if "://" in place else (place, "", "")
    text = without_slash(text)
    if text.endswith(".parquet"):
        above, slash, _ = text.rpartition("/")
        text = above or slash or "."
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    return absolute(text) + mark + options


def _load_one(place: str) -> Results:
    """Return the results of one run: of its ledger, or where there is none, of the tables alone."""
    if (text := place.rstrip("/")).endswith(".parquet"):
        above, slash, _ = text.rpartition("/")
        place = above or slash or "."
    folder = open_folder(place)
    if ledger_files(folder):
        return results_from_tables(*ledger_tables(place))
    for prefix in ("", "report/"):
        if has_file(folder, f"{prefix}trials.parquet"):
            return _read_tables(folder, prefix, place)
    raise InputError(f"{place}: neither ledger/*.jsonl nor trials.parquet is there")


def results_from_tables(trials: pa.Table, epochs: pa.Table) -> Results:
    """Return tables that carry their facts, as `collect` makes them, as data frames."""
    frame = data_frame(trials)
    for column, absent in LATER_COLUMNS.items():
        if column not in frame:
            frame[column] = absent
    return Results(trials=frame, epochs=data_frame(epochs), facts=_facts(trials.schema.metadata))


def _read_tables(folder: fs.SubTreeFileSystem, prefix: str, place: str) -> Results:
    tables: list[pa.Table] = []
    for name in NEEDED:
        try:
            tables.append(pa.parquet.read_table(f"{prefix}{name}", filesystem=folder))
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: {prefix}{name} is missing or damaged: {error}") from error
    trials, epochs = tables
    metadata = trials.schema.metadata or {}
    if VERSION_KEY not in metadata or FACTS_KEY not in metadata:
        raise InputError(
            f"{place}: {prefix}trials.parquet lacks the facts of its run, which stand in its metadata: another program "
            "has written it; 'cktf report RUN' makes it anew"
        )
    if (version := _version(metadata)) != SCHEMA_VERSION:
        raise InputError(
            f"{place}: {prefix}trials.parquet: schema version {version}; this code reads {SCHEMA_VERSION}"
        )
    facts = _facts(metadata)
    metrics = {facts.study.metric, facts.study.report_metric, *([] if facts.foreign else ["test_accuracy"])}
    for (name, columns), table in zip(NEEDED.items(), tables, strict=True):
        if missing := [column for column in (*columns, *metrics) if column not in table.column_names]:
            raise InputError(
                f"{place}: {prefix}{name} lacks columns that it had: {', '.join(missing)}; 'cktf report RUN' makes it "
                "anew"
            )
    _refuse_odd_values(trials, f"{place}: {prefix}trials.parquet")
    return results_from_tables(trials, epochs)


def _refuse_odd_values(trials: pa.Table, place: str) -> None:
    """Refuse what no report writes, and a program or a person may have: it would be told as if it had been measured."""
    for name, column in zip(trials.column_names, trials.columns, strict=True):
        is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if name in NUMBERS and not is_number and not pa.types.is_null(column.type):
            raise InputError(f"{place}: column {name} must hold numbers; it is of type {column.type}")
    unknown = sorted({*trials["status"].to_pylist()} - {*map(str, Status)}, key=str)
    if unknown:
        raise InputError(f"{place}: status must be one of {', '.join(Status)}; got {unknown[0]!r}")
    twice = pc.value_counts(trials["trial_id"].cast(pa.string()))
    for found in twice.filter(pc.greater(twice.field("counts"), 1)).to_pylist()[:1]:
        raise InputError(f"{place}: a trial has one row; trial_id {found['values']!r} has {found['counts']}")


def _version(metadata: dict[bytes, bytes] | None) -> int | None:
    return int(metadata[VERSION_KEY]) if metadata and VERSION_KEY in metadata else None


def _facts(metadata: dict[bytes, bytes]) -> Facts:
    return Facts.from_json(metadata[FACTS_KEY].decode())


def data_frame(table: pa.Table) -> "pd.DataFrame":
    """Return a table as a data frame whose integers and truth values stay such beside missing ones."""
    import pandas as pd

    frame: pd.DataFrame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and pa.types.is_integer(column.type):
            frame[name] = pd.array(column.to_pylist(), dtype="Int64")
        elif column.null_count and pa.types.is_boolean(column.type):
            frame[name] = pd.array(column.to_pylist(), dtype="boolean")
    return frame
