"""A table with a row for each arm and seed, or for each of their epochs -> a comparison of named arms."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.arguments import listed
from analysis.foreign.named_arms import Found, compared, require_columns
from analysis.foreign.table_file import Table, read_table
from analysis.foreign.trials import ForeignTrial
from analysis.results import Results
from analysis.statistics import cells
from analysis.wording import larger_is_better
from cktf.errors import InputError, shown
from cktf.names import tidy_name
from cktf.rows import Status

SAY_STATUS = {"status", "state", "outcome"}
"""Last words of the names of columns that are read as statuses of trials, unless another column is named."""


def read_csv(
    place: str | os.PathLike[str],
    *,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    **asked: Any,
) -> Results:
    """Return a table, a file of CSV, JSON or Parquet, as the results of a comparison of named arms.

    Args:
        place: The file, or its URI; its first line names the columns. See `analysis.foreign.table_file`.
        separator: Separator of a line's cells, one character or ``tab``; None: it is detected.
        decimal: The decimal sign of numbers, ``.`` (None) or ``,``.
        encoding: Encoding of the text; None: detected by its first bytes, else UTF-8.
        asked: Further arguments of `results_in_table`.

    Raises:
        InputError: If the file is no such table; and as `results_in_table` raises.
    """
    what = os.fspath(place)
    if decimal not in (None, ".", ","):
        raise InputError(f"--decimal {shown(decimal)}: is a point or a comma")
    columns = (asked.get("arm", "arm"), asked.get("seed", "seed"), asked.get("metric"), asked.get("context"))
    table = read_table(what, columns=[*filter(None, columns)], separator=separator, encoding=encoding)
    return results_in_table(what, table, origin=f"the CSV file {what}", decimal=decimal, **asked)


def results_in_table(
    what: str,
    table: Table,
    *,
    origin: str,
    metric: str | None = None,
    maximise: bool | None = None,
    status: str | None = None,
    step: str | None = None,
    decimal: str | None = None,
    caveats: Sequence[str] = (),
    **asked: Any,
) -> Results:
    """Return a table as the results of a comparison of named arms.

    A row whose metric is empty or not finite, or that says that it failed, is a failed trial.

    Args:
        what: Name of the table, for messages.
        table: The table.
        origin: Description of the table, for the report.
        metric: Column that is compared; None: the only column of numbers that has no other meaning.
        maximise: Whether a larger metric is better; None: see `analysis.wording.larger_is_better`.
        status: Column that says how a trial ended; None: those whose names end in one of `SAY_STATUS`, if there are
            any.
        step: Column of the step or epoch, where a trial has several rows: the last one with a score scores it.
        decimal: The decimal sign, if it is no point.
        caveats: Sentences on how the table was read.
        asked: Further arguments of `analysis.foreign.named_arms.compared`.

    Raises:
        InputError: If the table lacks a column or has a cell that cannot be read, or it is not known which way is
            better; and as `compared` raises.
    """
    if not table.rows:
        raise InputError(f"{what}: there are no rows under the columns {listed(table.head)}")
    keys = {"arm": asked.get("arm", "arm"), "seed": asked.get("seed", "seed")}
    keys |= {"context": asked.get("context"), "cluster": asked.get("cluster")}
    said = keys | {"metric": metric, "status": status, "step": step}
    named = {option: tidy_name(column) for option, column in said.items() if column is not None}
    require_columns(what, table.head, named)
    if metric is None:
        named["metric"] = metric = _only_metric(what, table, named, decimal)
    larger = larger_is_better(metric, maximise)
    columns = dict(zip(table.head, zip(*table.rows, strict=True), strict=True))
    scores = _numbers(what, named["metric"], columns[named["metric"]], table.places, decimal)
    for option in {"seed", "step"} & named.keys():
        columns[named[option]] = tuple(cell.replace(decimal or ".", ".") for cell in columns[named[option]])
    steps = _steps(what, named["step"], columns[named["step"]], table.places) if "step" in named else None
    groups = [[row] for row in range(len(scores))]
    if steps is not None:
        groups = _groups(what, [columns[named[key]] for key in keys if key in named], steps, table.places)
    ends, unread = _ends(what, table, named)
    trials = []
    for rows in groups:
        *_, scored = [row for row in rows if not math.isnan(scores[row])] or rows
        status_of, reason = ends[rows[-1]]
        score = None if math.isnan(scores[scored]) else scores[scored]
        if status_of == Status.COMPLETE and score is None:
            status_of, reason = Status.FAILED, f"no {named['metric']} in the file"
        way = [(steps[row], scores[row]) for row in rows if math.isfinite(scores[row])] if steps else []
        trials.append(ForeignTrial(status=status_of, score=score, reason=reason, on_the_way=way))
    found = Found(
        what=what,
        origin=origin,
        name=what.rpartition("/")[2].removesuffix(".csv"),
        table=Table(
            table.head,
            [[columns[name][rows[-1]] for name in table.head] for rows in groups],
            [table.places[rows[-1]] for rows in groups],
        ),
        trials=trials,
        caveats=[*caveats, *unread],
    )
    return compared(found, metric=named["metric"], maximise=larger, **asked)


def _only_metric(what: str, table: Table, named: Mapping[str, str], decimal: str | None) -> str:
    """Return the only column of numbers, or else the only one, that has a name and no other meaning."""
    found = []
    for name, texts in zip(table.head, zip(*table.rows, strict=True), strict=True):
        numbers = [_number(text, decimal) for text in texts]
        has_any = any(math.isfinite(number) for number in numbers if number is not None)
        if name and name not in named.values() and None not in numbers and has_any:
            found.append(name)
    others = [name for name in table.head if name and name not in named.values()]
    if len(found or others) != 1:
        raise InputError(f"{what}: --metric says which of its numbers is compared; there are: {listed(found)}")
    return (found or others)[0]  # if it holds no numbers, the first cell that is none is told


def _steps(what: str, column: str, texts: Sequence[str], places: Sequence[str]) -> list[int]:
    """Return the steps of rows."""
    found = []
    for text, place in zip(texts, places, strict=True):
        if (step := cells.whole_number(text)) is None:
            raise InputError(f"{what}: column {column!r}: a step is a whole number; {place} has {shown(text)}")
        found.append(step)
    return found


def _groups(what: str, keys: list[Sequence[str]], steps: list[int], places: Sequence[str]) -> list[list[int]]:
    """Return the rows of each trial, which are those of the same keys, in the order of their steps."""
    groups: dict[tuple[str, ...], dict[int, int]] = {}
    for row, key in enumerate(zip(*keys, strict=True)):
        other = groups.setdefault(key, {}).setdefault(steps[row], row)
        if other != row:
            raise InputError(
                f"{what}: {', '.join(map(shown, key))} has two rows of step {steps[row]}: {places[other]} and "
                f"{places[row]}"
            )
    return [[rows[step] for step in sorted(rows)] for rows in groups.values()]


def _ends(what: str, table: Table, named: Mapping[str, str]) -> tuple[list[tuple[Status, str]], list[str]]:
    """Return each row's status and its words for it, and caveats on status columns that were not understood."""
    said = named.get("status")
    ends = [(Status.COMPLETE, "")] * len(table.rows)
    unknown: dict[str, str] = {}
    for place, column in enumerate(table.head):
        last_word = re.split(r"[\W_]+", column.lower())[-1]
        if column != said and (said or last_word not in SAY_STATUS or column in named.values()):
            continue
        for row, texts in enumerate(table.rows):
            cell = texts[place]
            found = cells.status_in(cell)
            if found is None and said:
                raise InputError(
                    f"{what}: column {column!r} (--status) says how a trial ended: complete, failed, running or the "
                    f"like; {table.places[row]} has {cell!r}"
                )
            if found is None:
                unknown.setdefault(column, cell)
            elif found != Status.COMPLETE:
                ends[row] = (found, f"{column}: {cell}")
    return ends, [
        f"Column {column} may say how trials ended, but its words, like {cell!r}, are not known, and were not read."
        for column, cell in unknown.items()
    ]


def _numbers(what: str, column: str, texts: Sequence[str], places: Sequence[str], decimal: str | None) -> list[float]:
    """Return the numbers in the cells of the metric, NaN where there is none."""
    numbers = []
    for text, place in zip(texts, places, strict=True):
        if (number := _number(text, decimal)) is None:
            hint = "; --decimal , reads a comma as the decimal sign" if "," in text and decimal is None else ""
            raise InputError(f"{cells.no_number(what, column, place, text)}{hint}")
        numbers.append(number)
    return numbers


def _number(text: str, decimal: str | None) -> float | None:
    """Return the number in a cell as `analysis.statistics.cells.number` does, by this decimal sign."""
    if decimal != ",":
        return cells.number(text)
    return None if "." in text else cells.number(text.replace(",", "."))
