"""A CSV file, one row for each arm and seed, whose columns are named by whoever reads it -> a design."""

import io
import math
import os
from typing import TYPE_CHECKING

from analysis.arguments import check_delta, check_maximise
from analysis.folder import open_folder, read
from analysis.foreign.trials import ForeignTrial, foreign_results
from analysis.plain import as_trials, doubts, whole_number
from analysis.results import Foreign, Results
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import pandas as pd

NO_VALUE = {"", "-", "–", "na", "n/a", "nan", "none", "null"}
"""Cells, in small letters, that hold no number because there is none."""

CANNOT_BE_VOUCHED_FOR = [
    "Arms are compared at seeds of the same number; what a seed fixes, and whether it fixes the same in every arm, was "
    "not seen.",
    "Nor was who chose the epoch at which a trial was scored, and on which data; nor whether all trials that were run "
    "are in the file.",
]


def csv_file(
    place: str | os.PathLike[str],
    *,
    metric: str,
    arm: str = "arm",
    seed: str = "seed",
    context: str | None = None,
    baseline: str = "baseline",
    maximise: bool = True,
    delta: float | None = None,
) -> Results:
    """Return the results in a CSV file, as those of a comparison of named arms.

    A row whose metric is empty is a failed trial: it is counted, and its seed forms no pair.

    Args:
        place: The file, or its URI; its first line names the columns.
        metric: Column that is compared.
        arm: Column of the arms' names.
        seed: Column of the seeds, whole numbers.
        context: Column of the contexts; None: there is one.
        baseline: Name of the arm that the others of its context are compared with.
        maximise: Whether a larger metric is better.
        delta: The smallest effect that matters, in the metric's unit.

    Raises:
        ValueError: If the file is no such table, lacks a column or the baseline, or has a cell that cannot be read, or
            delta is not above 0.
    """
    what = os.fspath(place)
    check_maximise(maximise)
    check_delta(delta, "--delta")
    cells = _cells(what)
    named = {"arm": arm, "seed": seed, **({} if context is None else {"context": context}), "metric": metric}
    for option, column in named.items():
        if (stands := list(cells.columns).count(column)) > 1:
            raise ValueError(
                f"{what}: {stands} columns are called {column!r} (--{option}); rename all but one"
            )
        if not stands:
            raise ValueError(
                f"{what}: no column is called {column!r} (--{option}); there are: {', '.join(cells.columns)}"
            )
    frame = cells[list(named.values())].set_axis(list(named), axis="columns")
    frame = frame.mask(frame == "").assign(
        seed=[_seed(what, row, cell) for row, cell in enumerate(frame["seed"], 1)],
        metric=[_number(what, metric, row, cell) for row, cell in enumerate(frame["metric"], 1)],
    )
    plain = as_trials(frame, metric="metric", baseline=baseline, what=what)
    trials = [
        ForeignTrial(
            arm=row["arm"],
            arm_id=row["arm_id"],
            status=Status(row["status"]),
            score=row["metric"],
            seed=row["seed"],
            context=row["context"],
            is_baseline=row["is_baseline"],
            reason="" if row["status"] == Status.COMPLETE else f"no {metric} in the file",
        )
        for row in plain.to_dict("records")
    ]
    foreign = Foreign(
        origin=f"the CSV file {what} ("
        + ", ".join(f"{option}: column {column}" for option, column in named.items())
        + ")",
        cannot_be_vouched_for=[*CANNOT_BE_VOUCHED_FOR, *doubts(plain, "metric")],
    )
    return foreign_results(
        trials,
        name=what.rpartition("/")[2].removesuffix(".csv"),
        metric=metric,
        maximise=maximise,
        stage=Stage.DESIGN,
        foreign=foreign,
        delta=delta,
    )


def _cells(place: str) -> "pd.DataFrame":
    """Return the file's cells, all of them text as it stands there."""
    import pandas as pd

    above, slash, file = place.rpartition("/")
    content = read(open_folder(above or slash or "."), file)
    try:
        # The names of columns are read as a row: pandas would give two of one name different ones.
        cells = pd.read_csv(
            io.BytesIO(content), header=None, dtype=str, keep_default_na=False, skipinitialspace=True
        )
    except ValueError as error:  # what pandas raises of text that is no table are its subclasses
        raise ValueError(f"{place}: no table of comma-separated values: {error}") from error
    cells = cells[1:].set_axis(cells.iloc[0].tolist(), axis="columns")
    if cells.empty:
        raise ValueError(f"{place}: there are no rows under the columns {', '.join(cells.columns)}")
    return cells


def _seed(what: str, row: int, cell: str) -> int:
    if (seed := whole_number(cell)) is None:
        raise ValueError(f"{what}: a seed is a whole number; row {row} has {cell!r}")
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"{what}: a seed has 64 bits; row {row} has {cell!r}")
    return seed


def _number(what: str, column: str, row: int, cell: str) -> float:
    """Return a cell of the metric; NaN where it has no value."""
    if cell.strip().lower() in NO_VALUE:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{what}: column {column!r} holds numbers; row {row} has {cell!r}") from None
