"""MLflow runs, from a store or an exported table -> a comparison of named arms."""

import math
import os
import sqlite3
import sys
import warnings
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from analysis.arguments import listed
from analysis.foreign.csv_file import results_in_table
from analysis.foreign.named_arms import with_names
from analysis.foreign.table_file import Table, read_table, table_of
from analysis.foreign.trials import of_extra
from analysis.results import Results
from analysis.statistics.cells import NO_VALUE
from cktf.errors import InputError

PARTS = ("params.", "metrics.", "tags.")
"""Prefixes of a run's params, metrics and tags in a table of `mlflow.search_runs`; users may leave them out."""

NAME, PARENT = "tags.mlflow.runName", "tags.mlflow.parentRunId"
LARGEST = sys.float_info.max
"""Number that MLflow stores in a database in place of infinity."""

FILES = (".csv", ".json", ".jsonl", ".parquet")
SQLITE = "sqlite:///"


def read_mlflow(
    place: str | os.PathLike[str], *, name: str | None = None, names: str | None = None, **asked: Any
) -> Results:
    """Return MLflow runs as the results of a comparison of named arms. A run's score is the metric's last value.

    Parents of other runs that have no metric of their own, as of a sweep, are left out.

    Args:
        place: A store, ``mlruns`` or ``sqlite:///mlflow.db``, which MLflow reads; or a file, CSV, JSON or Parquet, with
            the table that ``mlflow.search_runs`` returns.
        name: Name of the experiment; it may be left out if the store has runs of one only.
        names: Pattern of the runs' names that gives arm, seed and context: ``{arm}-s{seed}``; None: params or tags do.
        asked: Further arguments of `analysis.foreign.csv_file.results_in_table`. Columns may be named with or without
            ``params.``, ``tags.`` and ``metrics.`` before them.

    Raises:
        InputError: If there is no such store, table or experiment, or MLflow is missing; and as `results_in_table`.
    """
    what = os.fspath(place)
    if what.endswith(FILES):
        if name is not None:
            raise InputError(f"{what}: --study: a table is of the experiments that its rows are of")
        table = read_table(what, separator=",")
    else:
        table = _stored(what, name)
    table = _without_parents(table)
    plain = [_plain(name) for name in table.head]
    count = Counter(plain)
    table = table._replace(
        head=[short if count[short] == 1 else full for short, full in zip(plain, table.head, strict=True)]
    )
    if names is not None:
        table = with_names(what, table, (_plain(NAME), NAME), names)
    for key in {"metric", "arm", "seed", "context", "cluster", "status"} & asked.keys():
        if asked[key] not in table.head:
            asked[key] = _plain(asked[key])
    return results_in_table(what, table, origin=f"the MLflow runs {what}", **asked)


def _plain(name: str) -> str:
    """Return the name of a column without its prefix, one of `PARTS`."""
    return next((name.removeprefix(part) for part in PARTS if name.startswith(part)), name)


def _without_parents(table: Table) -> Table:
    """Return the runs without the parents of others that have no metric of their own, as of a sweep."""
    if not {"run_id", PARENT} <= {*table.head}:
        return table
    parents = {row[table.head.index(PARENT)] for row in table.rows}
    run, metrics = table.head.index("run_id"), [at for at, name in enumerate(table.head) if name.startswith("metrics.")]
    has_any = [any(row[at].lower() not in NO_VALUE for at in metrics) for row in table.rows]
    kept = [at for at, row in enumerate(table.rows) if has_any[at] or row[run] not in parents]
    return Table(table.head, [table.rows[at] for at in kept], [table.places[at] for at in kept])


def _stored(place: str, name: str | None) -> Table:
    """Return the runs of a store as `mlflow.search_runs` does."""
    _require_store(place)
    # Otherwise MLflow refuses its own files, and sends telemetry.
    os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        of_extra("trackers", place),
        warnings.catch_warnings(action="ignore"),
    ):  # warnings are of deprecations in its libraries
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            client = MlflowClient(tracking_uri=place)
            experiments = {each.name: each.experiment_id for each in client.search_experiments()}
            found = {each: client.search_runs([of], max_results=50_000) for each, of in experiments.items()}
        except MlflowException as error:
            raise InputError(f"{place}: no MLflow store that can be read: {error}") from None
    if name is None and len(held := [each for each, runs in found.items() if runs]) == 1:
        (name,) = held
    if name not in found:
        raise InputError(f"{place}: --study names one of its experiments; there are: {listed(found)}")
    records = []
    for run in found[name]:
        record = {"run_id": run.info.run_id, "status": run.info.status}
        metrics = {
            key: value / LARGEST * math.inf if abs(value) == LARGEST else value
            for key, value in run.data.metrics.items()
        }
        parts: tuple[dict[str, Any], ...] = (run.data.params, metrics, run.data.tags)
        for part, of_run in zip(PARTS, parts, strict=True):
            record |= {f"{part}{key}": value for key, value in of_run.items()}
        records.append(record)
    return table_of(records, [f"run {record['run_id']}" for record in records])


def _require_store(place: str) -> None:
    """Raise an InputError for a place that is no store, since MLflow would create one there."""
    if place.startswith(SQLITE):
        file = Path(place.removeprefix(SQLITE))
        if not file.is_file():
            raise InputError(f"{place}: there is no file {file}")
        try:
            with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as store:
                tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error as error:
            raise InputError(f"{place}: no MLflow store that can be read: {error}") from None
        if not {"experiments", "runs", "alembic_version"} <= tables:
            raise InputError(f"{place}: no MLflow store: it lacks its tables")
    elif "://" not in place and not any(Path(place).glob("*/meta.yaml")):
        raise InputError(f"{place}: no MLflow store lies there, whose folders have a meta.yaml; nor is it {SQLITE}FILE")
