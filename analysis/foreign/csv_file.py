"""A CSV file, one row for each arm and seed, whose columns are named by whoever reads it -> a design."""

import csv
import io
import math
import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from analysis.arguments import check_delta
from analysis.folder import open_folder, read
from analysis.foreign import cells
from analysis.foreign.scales import scales_in_words
from analysis.foreign.trials import ADDRESSES_CUT, ForeignTrial, foreign_results
from analysis.plain import as_trials
from analysis.quantities import larger_is_better
from analysis.results import Foreign, Results
from cktf.errors import InputError
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import pandas as pd

CANNOT_BE_VOUCHED_FOR = [
    "Arms are compared at seeds of the same number; what a seed fixes, and whether it fixes the same in every arm, was "
    "not seen.",
    "Nor was who chose the epoch at which a trial was scored, and on which data; nor whether all trials that were run "
    "are in the file.",
]

SAY_STATUS = {"status", "state", "outcome"}
"""Last words of a column's name that is read for how trials ended, unless another is named."""


def csv_file(
    place: str | os.PathLike[str],
    *,
    metric: str,
    arm: str = "arm",
    seed: str = "seed",
    context: str | None = None,
    baseline: str = "baseline",
    maximise: bool | None = None,
    delta: float | None = None,
    status: str | None = None,
) -> Results:
    """Return the results in a CSV file, as those of a comparison of named arms.

    A row whose metric is empty or not finite, or that says that it failed, is a failed trial: it is counted, and its
    seed forms no pair. Names are read without blanks at their ends and invisible characters.

    Args:
        place: The file, or its URI; its first line names the columns.
        metric: Column that is compared.
        arm: Column of the arms' names.
        seed: Column of the seeds, whole numbers.
        context: Column of the contexts; None: there is one.
        baseline: Name of the arm that the others of its context are compared with.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.
        delta: The smallest effect that matters, in the metric's unit.
        status: Column that says how a trial ended; None: those whose names end in one of `SAY_STATUS`, if there are
            any.

    Raises:
        ValueError: If the file is no such table, lacks a column or the baseline, or has a cell that cannot be read, or
            delta is not above 0, or it is not known which way is better.
    """
    what = os.fspath(place)
    check_delta(delta, "--delta")
    maximise = larger_is_better(metric, maximise)
    table = _table(what)
    said = {"arm": arm, "seed": seed, "context": context, "metric": metric, "status": status}
    named = {option: cells.tidy_name(column) for option, column in said.items() if column is not None}
    for option, column in named.items():
        _require_column(what, table, option, column)
    frame = table[list(named.values())].set_axis(list(named), axis="columns")
    names = [option for option in ("arm", "context") if option in named]
    has_addresses = any(cells.has_address(cell) for option in names for cell in frame[option])
    frame[names] = frame[names].map(cells.tidy_level)
    frame = frame.mask(frame == "").assign(
        seed=[_seed(what, row, cell) for row, cell in enumerate(frame["seed"], 1)],
        metric=[_number(what, named["metric"], row, cell) for row, cell in enumerate(frame["metric"], 1)],
    )
    baseline = cells.tidy_name(baseline)
    plain = as_trials(frame, metric="metric", baseline=baseline, what=what)
    ends, caveats = _ends(what, table, named)
    trials = [
        _trial(row, end, named["metric"]) for row, end in zip(plain.to_dict("records"), ends, strict=True)
    ]
    scores: dict[tuple[str, str], list[float]] = {}
    for trial in trials:
        if trial.status == Status.COMPLETE and trial.score is not None and math.isfinite(trial.score):
            scores.setdefault((trial.context, trial.arm), []).append(trial.score)
    caveats += [ADDRESSES_CUT] * has_addresses
    caveats += scales_in_words(scores, baseline, named["metric"])
    foreign = Foreign(
        origin=f"the CSV file {what} ("
        + ", ".join(f"{option}: column {column}" for option, column in named.items())
        + ")",
        cannot_be_vouched_for=[*CANNOT_BE_VOUCHED_FOR, *caveats],
    )
    return foreign_results(
        trials,
        name=what.rpartition("/")[2].removesuffix(".csv"),
        metric=named["metric"],
        maximise=maximise,
        stage=Stage.DESIGN,
        foreign=foreign,
        delta=delta,
    )


def _table(place: str) -> "pd.DataFrame":
    """Return the file's cells, all of them text, without blanks around it."""
    import pandas as pd

    above, slash, file = place.rpartition("/")
    content = read(open_folder(above or slash or "."), file)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        text = content.decode(encoding)
        # A byte order mark would hide the quotes of the first name.
        lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{place}: no table of comma-separated values: {error}") from error
    rows = [row for line in lines if any(row := [cells.tidy_name(cell) for cell in line])]
    if not rows:
        raise InputError(f"{place}: no table of comma-separated values: it is empty")
    head, *rows = rows
    for number, row in enumerate(rows, 1):
        while len(row) > len(head) and not row[-1]:
            row.pop()
        if len(row) != len(head):
            raise InputError(
                f"{place}: row {number} has {len(row)} cells under {len(head)} columns ({', '.join(head)}); "
                "commas part cells, and a cell that has one in it stands in double quotes"
            )
    if not rows:
        raise InputError(f"{place}: there are no rows under the columns {', '.join(head)}")
    return pd.DataFrame(rows, columns=head, dtype=str)


def _require_column(what: str, table: "pd.DataFrame", option: str, column: str) -> None:
    """Refuse a column that is not there, or stands there several times."""
    if (stands := list(table.columns).count(column)) > 1:
        raise InputError(f"{what}: {stands} columns are called {column!r} (--{option}); rename all but one")
    if not stands:
        alike = [name for name in table.columns if name.casefold() == column.casefold()]
        hint = f"; --{option} {alike[0]} names the one that differs by case alone" if alike else ""
        raise InputError(
            f"{what}: no column is called {column!r} (--{option}); there are: {', '.join(table.columns)}{hint}"
        )


def _ends(
    what: str, table: "pd.DataFrame", named: dict[str, str]
) -> tuple[list[tuple[Status, str]], list[str]]:
    """Return how each row says that its trial ended, and in which words; and caveats on the columns that say it."""
    said = named.get("status")
    columns = [said] if said else [name for name in table.columns if _says_status(name, named)]
    ends = [(Status.COMPLETE, "")] * len(table)
    unknown: dict[str, str] = {}
    for place, column in enumerate(table.columns):
        if column not in columns:
            continue
        for row, cell in enumerate(table.iloc[:, place]):
            found = cells.status_in(cell)
            if found is None and said:
                raise InputError(
                    f"{what}: column {column!r} (--status) says how a trial ended: complete, failed, running or the "
                    f"like; row {row + 1} has {cell!r}"
                )
            if found is None:
                unknown.setdefault(column, cell)
            elif found != Status.COMPLETE:
                ends[row] = (found, f"{column}: {cell}")
    told = [
        f"Column {column} may say how trials ended, but its words, like {cell!r}, are not known, and were not read."
        for column, cell in unknown.items()
    ]
    return ends, told


def _says_status(column: str, named: dict[str, str]) -> bool:
    words = column.lower().replace("_", " ").replace("-", " ").replace(".", " ").split()
    return bool(words) and words[-1] in SAY_STATUS and column not in named.values()


def _trial(row: Mapping[Hashable, Any], end: tuple[Status, str], metric: str) -> ForeignTrial:
    """Return a row of a plain table, with what it says of its end, as a trial."""
    status, reason = end
    score = row["metric"]
    if status == Status.COMPLETE and math.isnan(score):
        status, reason = Status.FAILED, f"no {metric} in the file"
    return ForeignTrial(
        arm=row["arm"],
        arm_id=row["arm_id"],
        status=status,
        score=None if math.isnan(score) else score,
        seed=row["seed"],
        context=row["context"],
        is_baseline=row["is_baseline"],
        reason=reason,
    )


def _seed(what: str, row: int, cell: str) -> int:
    seed = cells.seed(cell)
    if seed is None:
        raise InputError(f"{what}: a seed is a whole number; row {row} has {cell!r}")
    if not -(2**63) <= seed < 2**63:
        raise InputError(f"{what}: a seed lies between -2^63 and 2^63 - 1; row {row} has {cell!r}")
    return seed


def _number(what: str, column: str, row: int, cell: str) -> float:
    """Return a cell of the metric; NaN where it has no value."""
    number = cells.number(cell)
    if number is None:
        raise InputError(f"{what}: column {column!r} holds numbers; row {row} has {cell!r}")
    return number
