"""Loading of a run directory, of its Parquet tables alone, or of foreign results -> `Results`."""

import os
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet
from pyarrow import fs

from analysis.facts import Facts
from analysis.foreign import kind_of
from analysis.foreign import read as read_foreign
from analysis.ledger.collect import ledger_tables
from analysis.ledger.columns import VERSION_KEY, data_frame
from analysis.ledger.pieces import ledger_files
from analysis.results import Results
from analysis.several_runs import united
from cktf.errors import InputError, naming, shown
from cktf.foreign_options import NOTHING_SAID, Options
from cktf.rows import FACTS_KEY, SCHEMA_VERSION
from cktf.storage import absolute, has_file, open_folder, without_slash

NEEDED = {
    "trials.parquet": (
        *("run", "trial_id", "context", "arm", "arm_id", "is_baseline", "seed", "stage", "number", "status", "reason"),
        *("epochs", "wall_seconds", "device", "node"),
    ),
    "epochs.parquet": ("trial_id", "arm_id", "epoch", "phase"),
}
"""File of each table -> the columns that reports read in it, beside the metrics of the study."""


def load(place: str | os.PathLike[str], *more: str | os.PathLike[str]) -> Results:
    """Return the results of a run, or of several runs read together; nothing is written.

    Args:
        place: A run directory, or a folder with ``trials.parquet`` and ``epochs.parquet`` alone, or one of these two;
            or a URI.
        more: Places of further runs.

    Raises:
        InputError: If there are neither a ledger nor tables, the tables are of another schema version or lack
            columns, or the runs cannot be read together.
    """
    once: dict[str, str] = {}
    for run in map(_above_tables, map(without_slash, (place, *more))):
        once.setdefault(absolute(run.removeprefix("file://")), run)  # a place may be written in several ways
    results = {}
    for run in once.values():
        with naming(run):
            folder = open_folder(run)
            if ledger_files(folder):
                results[run] = results_from_tables(*ledger_tables(run))
            elif has_file(folder, "trials.parquet"):
                results[run] = _read_tables(folder, run)
            else:
                raise InputError(f"{run}: neither ledger/*.jsonl nor trials.parquet is there")
    return united(results) if len(results) > 1 else next(iter(results.values()))


def results_of(
    places: Sequence[str], kind: str | None = None, options: Options = NOTHING_SAID, against: str | None = None
) -> Results:
    """Return the results that a command line names: runs, or one place of foreign results of a kind.

    Without a kind, the name of the first place decides: it is a file of foreign results, or all places are runs.
    ``against`` is an arm with which all others are compared as an afterthought.

    Raises:
        InputError: If something is missing or does not fit, or the results cannot be read.
    """
    kind = kind or kind_of(places[0])
    if kind is None and options.given:
        raise InputError(f"--{options.given[0]}: only foreign results take it (--from); a run says it itself")
    if kind is not None and len(places) > 1:
        raise InputError(f"--from {kind} reads one place; got {', '.join(places)}")
    results = load(*places) if kind is None else read_foreign(kind, places[0], options)
    return results if against is None else results.afterthought(against)


def _above_tables(place: str) -> str:
    """Return the folder of a Parquet table; any other place as it is."""
    above, slash, name = place.rpartition("/")
    return (above or slash or ".") if name.endswith(".parquet") else place


def results_from_tables(trials: pa.Table, epochs: pa.Table) -> Results:
    """Return the results in tables whose metadata hold their facts, as `collect` makes them."""
    facts = Facts.from_json(trials.schema.metadata[FACTS_KEY].decode())
    return Results(trials=data_frame(trials), epochs=data_frame(epochs), facts=facts)


def _read_tables(folder: fs.SubTreeFileSystem, place: str) -> Results:
    tables: list[pa.Table] = []
    for name in NEEDED:
        try:
            tables.append(pa.parquet.read_table(name, filesystem=folder))
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{place}: {name} is missing or damaged: {error}") from error
    trials, epochs = tables
    metadata = trials.schema.metadata or {}
    if VERSION_KEY not in metadata or FACTS_KEY not in metadata:
        raise InputError(
            f"{place}: trials.parquet lacks the facts of its run, which stand in its metadata: another program "
            "has written it; 'cktf report RUN' makes it anew"
        )
    version = metadata[VERSION_KEY].decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise InputError(
            f"{place}: trials.parquet: schema version {shown(version)[1:-1]}; this code reads {SCHEMA_VERSION}"
        )
    try:
        results = results_from_tables(trials, epochs)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"{place}: trials.parquet: the facts in its metadata cannot be read: {error}") from error
    facts = results.facts
    metrics = {facts.study.metric, facts.study.report_metric, *([] if facts.foreign else ["test_accuracy"])}
    levels = {"trials.parquet": [f"param.{factor}" for factor in facts.study.factors]}
    for (name, columns), table in zip(NEEDED.items(), tables, strict=True):
        if missing := {*columns, *metrics, *levels.get(name, ())} - {*table.column_names}:
            raise InputError(
                f"{place}: {name} lacks columns that it had: {', '.join(sorted(missing))}; 'cktf report RUN' "
                "makes it anew"
            )
    return results
