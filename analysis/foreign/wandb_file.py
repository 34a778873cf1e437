"""A table that Weights & Biases exported, of runs, of a panel or of a run's history -> a comparison of named arms."""

import os
from typing import Any

from analysis.arguments import listed
from analysis.foreign.csv_file import results_in_table
from analysis.foreign.named_arms import form_of_names, require_columns, with_names
from analysis.foreign.table_file import Table, read_table
from analysis.results import Results
from cktf.errors import InputError

BETWEEN = " - "
"""Text between run and metric in the name of a panel's column."""

ENDS = ("__MIN", "__MAX")
"""Endings of the columns with a point's least and largest value; a point may stand for several steps or runs."""

MEANS = "Points of the panel that are means over several steps or runs, which is how W&B exports many: {}."

RUN, STEP = ("Name", "run", "run_id", "name"), "_step"
"""Columns that hold the name of a run; column of the step in the rows of a history."""


def read_wandb(
    place: str | os.PathLike[str], *, metric: str | None = None, names: str | None = None, **asked: Any
) -> Results:
    """Return an export of W&B as the results of a comparison of named arms.

    It may be a table of runs, with columns of their configuration and summary; the points of a panel, with a column
    ``RUN - METRIC`` for each run; or histories, with a row for each ``_step``. A run's score is its last point.

    Args:
        place: The file, CSV, JSON or Parquet, or its URI.
        metric: Metric that is compared; None: the only one that there is.
        names: Pattern of the runs' names that gives arm, seed and context: ``{arm}-s{seed}``; None: columns do.
        asked: Further arguments of `analysis.foreign.csv_file.results_in_table`.

    Raises:
        InputError: If the file is no such table, or a name has another form; and as `results_in_table` raises.
    """
    what = os.fspath(place)
    table, caveats = read_table(what, separator=None if what.endswith(".tsv") else ","), []
    if len(table.head) > 1 and all(BETWEEN in name for name in table.head[1:]):
        table, metric, num_means = _points(what, table, metric, names)
        caveats = [MEANS.format(num_means)] * (num_means > 0)
    if STEP in table.head:
        asked = {"step": STEP} | asked
    if names is not None:
        table = with_names(what, table, RUN, names)
    return results_in_table(what, table, origin=f"the W&B export {what}", metric=metric, caveats=caveats, **asked)


def _points(what: str, table: Table, metric: str | None, names: str | None) -> tuple[Table, str, int]:
    """Return the points of a panel as a history of its runs, their metric, and how many points are means.

    A run without any point has its last, empty one, by which it is known to have failed; it is left out where its name
    has another form, or where another run is of the same trial.
    """
    columns = {name: place for place, name in enumerate(table.head)}
    curves = [name.rpartition(BETWEEN) for name in table.head[1:] if not name.endswith((*ENDS, BETWEEN + STEP))]
    metrics = [*dict.fromkeys(of_run for _, _, of_run in curves)]
    if metric is None and len(metrics) == 1:
        (metric,) = metrics
    if metric not in metrics:
        raise InputError(f"{what}: --metric names one of the panel's: {listed(metrics)}")
    rows, places, num_means = [], [], 0
    lines = [*zip(table.rows, table.places, strict=True)]
    points = {}
    for run in dict.fromkeys(run for run, _, of_run in curves if of_run == metric):
        name = f"{run}{BETWEEN}{metric}"
        require_columns(what, table.head, {"metric": name})  # of two runs of one name, one would be lost
        points[run] = [(cells, line) for cells, line in lines if cells[columns[name]]]
    form = form_of_names(names or "{any}")
    matches = {run: form.fullmatch(run) for run in points}
    trials = {run: match and match.groupdict() | {"any": ""} for run, match in matches.items()}
    tried = [trials[run] for run, of_run in points.items() if of_run]
    for run, of_run in points.items():
        if not of_run:
            if trials[run] is None or trials[run] in tried:
                continue
            tried.append(trials[run])
        name = f"{run}{BETWEEN}{metric}"
        for cells, line in of_run or lines[-1:]:
            ends = {cells[columns[name + end]] for end in ENDS if name + end in columns}
            num_means += len(ends) > 1
            rows.append([run, cells[0], cells[columns[name]]])
            places.append(f"{line}, column {name!r}")
    return Table(["run", STEP, metric], rows, places), metric, num_means
