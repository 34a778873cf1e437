"""A plain table of results, one row for each arm and seed, as a table of trials of a design."""

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.arguments import listed
from cktf.errors import InputError
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import pandas as pd

INVISIBLE = dict.fromkeys([0x200B, 0x2060, 0xFEFF, 0x00AD])
"""Characters that show nothing, and so tell no names apart."""

BLANKS = re.compile(r"[^\S\x1c-\x1f]+")
"""Blanks of any width, line ends among them; not the separators of old tapes, which Python counts too."""

WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
"""A whole number, as people and spreadsheets write it: 7, or 7.0."""

PERCENT = (67.0, 150.0)
"""Between which the ratio of percentages to shares of the same quantity lies."""


def as_trials(
    frame: "pd.DataFrame", *, metric: str, baseline: str, what: str = "the table"
) -> "pd.DataFrame":
    """Return a plain table with the columns that a table of trials has besides.

    Names that look alike are one: blanks around them, invisible characters and the two ways to write é do not count.
    So are seeds that are the same number, as 0, 0.0 and "0".

    Args:
        frame: Has the columns ``arm``, ``seed`` and the metric; a column ``context`` where there are several. A row
            without a finite value of the metric is a failed trial: it is counted, and its seed forms no pair. So is one
            that a column ``status`` calls failed or pruned; planned and running ones have no result yet.
        metric: Column that is compared: numbers, of whatever type, or numbers as text.
        baseline: Name of the arm that the others of its context are compared with.
        what: The table, as messages call it.

    Raises:
        ValueError: If the table is empty, a column is missing or there twice, one of ``arm``, ``seed`` and ``context``
            has an empty cell, the metric has one that is no number, an arm has two rows at one seed, or a context has
            no arm that is called as the baseline.
    """
    _check_names(frame, metric, what)
    trials = frame.copy().reset_index(drop=True)
    if "context" not in trials:
        trials["context"] = ""
    for name in ("context", "arm", "seed"):
        cells = list(trials[name].astype(object).where(trials[name].notna(), None))
        found = _seeds(cells) if name == "seed" else [None if cell is None else clean(cell) for cell in cells]
        for row, cell in enumerate(found, 1):
            if cell is None or (cell == "" and name != "context"):
                raise InputError(f"{what}: column {name!r} is empty in row {row}")
        trials[name] = found
    identity = ["context", "arm", "seed"]
    if (twice := trials.duplicated(identity).to_numpy()).any():
        context, arm, seed = trials[identity].iloc[twice.argmax()]
        within = f" in context {context!r}" if context else ""
        raise InputError(
            f"{what}: arm {arm!r}{within} has several rows at seed {seed}; an arm has one row at each seed, "
            "the last epoch's"
        )
    is_baseline = trials["arm"] == clean(baseline)
    for context, rows in trials.groupby("context", sort=False).groups.items():
        if not is_baseline[rows].any():
            within = f" in context {context!r}" if context else ""
            raise InputError(
                f"{what}: no arm is called {baseline!r}{within}, which is to be the baseline; there are: "
                f"{listed(trials.loc[rows, 'arm'].unique())}"
            )
    values = _numbers(trials[metric], metric, what)
    statuses = np.where(np.isfinite(values), Status.COMPLETE, Status.FAILED).astype(object)
    if "status" in trials:
        told = trials["status"].astype(str).str.strip().str.lower()
        is_told = told.isin([*map(str, Status)]) & (told != Status.COMPLETE)
        statuses = np.where(is_told, told, statuses)
    arms = trials.groupby(["context", "arm"], sort=False).ngroup()
    return trials.assign(
        **{metric: values},
        arm_id=[f"arm-{number}" for number in arms],
        is_baseline=is_baseline,
        stage=Stage.DESIGN.value,
        status=statuses,
    )


def clean(name: object) -> str:
    """Return a name as it is read: composed (NFC), no invisible characters, one blank between words, none around."""
    text = unicodedata.normalize("NFC", str(name)).translate(INVISIBLE)
    return BLANKS.sub(" ", text).strip(" ")


def whole_number(text: str) -> int | None:
    """Return the whole number that a text is; None where it is none. 7.0 is 7, for spreadsheets write it so."""
    digits = text.strip()
    return int(digits.partition(".")[0]) if WHOLE.fullmatch(digits) else None


def doubts(trials: "pd.DataFrame", metric: str) -> list[str]:
    """Return sentences on what may be wrong in a plain table, though it can be read.

    Args:
        trials: As `as_trials` gives them.
        metric: Column that is compared.
    """
    found = []
    names: dict[str, set[str]] = {}
    for name in trials["arm"].unique():
        names.setdefault(name.casefold(), set()).add(name)
    found += [
        f"Arms {' and '.join(map(repr, sorted(alike)))} differ by small and capital letters alone, and are taken for "
        "different ones."
        for alike in names.values()
        if len(alike) > 1
    ]
    values = trials[metric].to_numpy(np.float64)
    shares, percentages = values[(values > 0) & (values <= 1)], values[(values > 1) & (values <= 100)]
    if len(shares) and len(percentages):
        share, percentage = float(np.median(shares)), float(np.median(percentages))
        if PERCENT[0] <= percentage / share <= PERCENT[1]:
            found.append(
                f"Some scores are about 100 times as large as others ({percentage:.4g} and {share:.4g}): percentages "
                "may stand beside shares."
            )
    return found


def _check_names(frame: "pd.DataFrame", metric: str, what: str) -> None:
    """Refuse a table whose columns are not there, or not once, or that has no rows."""
    columns = list(frame.columns)
    for name in ("arm", "seed", metric):
        if name not in columns:
            raise InputError(f"{what}: no column is called {name!r}; there are: {listed(columns)}")
    for name in ("arm", "seed", metric, "context"):
        if columns.count(name) > 1:
            raise InputError(f"{what}: {columns.count(name)} columns are called {name!r}; rename all but one")
    if metric in ("context", "arm", "seed", "arm_id", "is_baseline", "stage", "status"):
        raise InputError(
            f"{what}: the metric cannot be the column {metric!r}, which means something else here"
        )
    if not len(frame):
        raise InputError(f"{what}: there are no rows under the columns {listed(columns)}")


def _seeds(cells: list[Any]) -> list[int | str | None]:
    """Return seeds as whole numbers where all are such, in whatever type or text; else as text."""
    found: list[int | str | None] = []
    for cell in cells:
        text = "" if cell is None else clean(cell)
        is_number = not isinstance(cell, bool | np.bool_)
        number = whole_number(text) if is_number else None
        if number is None and isinstance(cell, float) and cell.is_integer():
            number = int(cell)  # so large that it is written with an exponent
        found.append((text or None) if number is None else number)
    if any(isinstance(seed, str) for seed in found):
        return [None if seed is None else str(seed) for seed in found]
    return found


def _numbers(column: "pd.Series[Any]", metric: str, what: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the cells of the metric as numbers; NaN where there is none.

    Raises:
        ValueError: If a cell is no number.
    """
    values = np.full(len(column), np.nan)
    is_missing = column.isna().to_numpy()
    for row, cell in enumerate(column.astype(object)):
        if is_missing[row]:
            continue
        number = _number(cell)
        if number is None:
            raise InputError(
                f"{what}: column {metric!r} holds numbers, or nothing where a trial failed; row {row + 1} has "
                f"{cell!r}"
            )
        values[row] = number
    return values


def _number(cell: object) -> float | None:
    """Return a cell as a number; None where it is none."""
    if isinstance(cell, np.complexfloating) or (isinstance(cell, str) and "_" in cell):
        return None  # Python reads 1_000 as a number, and nobody else does
    if not isinstance(cell, int | float | np.number | np.bool_ | Decimal | Fraction | str):
        return None
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return None
