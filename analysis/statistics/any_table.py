"""Tables that statistics take: trials as `analysis.load` gives them, or a plain table of arm, seed and metric."""

import math
import warnings
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import TRIAL_COLUMNS, check_columns, check_trials, listed, numeric_columns
from analysis.statistics.cells import no_number, number, status_in, whole_number
from cktf.errors import InputError, shown
from cktf.names import similar_in_words, tidy_name
from cktf.rows import Stage, Status

TELL_WHEN = {"epoch", "epochs", "step", "steps", "iteration", "iterations", "time", "timestamp"}
"""Columns whose rows are one trial's at several times."""

REPORTED_STAGES = (Stage.DESIGN, Stage.CONFIRM)
"""Stages whose arms were fixed before any of their results was seen; the others' scores are selected."""


def of_fixed_arms(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials whose arm was fixed before their results were seen: of designs and confirmation."""
    return trials[trials["stage"].isin(REPORTED_STAGES)]


def reported(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of arms fixed before their results were seen, each arm once at each seed.

    Where teachers are crossed with seeds, such a row is the mean over the teachers: complete, or with a score, only
    where the trials with all of them are.
    """
    pool = of_fixed_arms(trials)
    key = ["arm_id", "seed"]
    if "teacher_id" not in pool or not pool.duplicated(key).any():
        return pool
    groups = pool.groupby(key, sort=False, observed=True)
    first = groups.head(1).copy()
    means = [name for name in numeric_columns(pool) if name not in {"seed", "number", "epochs", "last_epoch"}]
    found = groups[means].mean().where(groups[means].count().eq(groups.size(), axis="index"))
    first[means] = found.to_numpy()
    worst = pool.sort_values("status", key=lambda status: status.eq(Status.COMPLETE), kind="stable")
    statuses = worst.drop_duplicates(key).set_index(key)["status"]
    first["status"] = statuses.reindex(pd.MultiIndex.from_frame(first[key])).to_numpy()
    return first


def complete(trials: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the trials that are complete and have a finite value of ``metric``."""
    is_finite = trials[metric].abs().lt(np.inf)  # of NaN, no comparison is true
    return trials[is_finite & trials["status"].eq(Status.COMPLETE)]


def is_plain(table: pd.DataFrame, what: str) -> bool:
    """Return whether a table lacks columns of trials.

    Raises:
        InputError: If it is no data frame; ``what`` is the function that was called.
    """
    check_columns(table, (), what=what, source="a table of trials, or a plain one")
    return not set(TRIAL_COLUMNS).issubset(table)


def trials_of(
    table: pd.DataFrame, *, metric: str, what: str, baseline: str | None = None, needs_baseline: bool = True
) -> pd.DataFrame:
    """Return a table of trials as it is, or a plain table as one; see `as_trials`.

    A plain table is warned of if names in it look alike, or scores seem to be on two scales.

    Args:
        table: Trials, which have all of `analysis.arguments.TRIAL_COLUMNS`, or a plain table.
        metric: Column of the scores.
        what: The function that was called, as messages name it.
        baseline: Name of the arm that is the baseline of every context. None: in trials the baseline of the study, in a
            plain table the arm that is called ``baseline``.
        needs_baseline: Whether a plain table without a baseline is refused if none was named.
    """
    if not is_plain(table, what):
        check_trials(table, metric, what=what)
        return table if baseline is None else _compared_afresh(table, baseline)
    named = baseline or ("baseline" if needs_baseline else None)
    trials = as_trials(table, metric=metric, baseline=named)
    doubts = similar_in_words("arms", trials["arm"]) + similar_in_words("contexts", trials["context"])
    for doubt in doubts + scales_in_words(trials, metric):
        warnings.warn(doubt, stacklevel=3)
    return trials


def _compared_afresh(trials: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return trials in which the arm of this name is the baseline of every context, which must have one such arm."""
    once = reported(trials).drop_duplicates("arm_id")
    for context, arms in once.groupby("context", sort=False)["arm"]:
        if (count := int((arms == baseline).sum())) != 1:
            within = f" in context {context!r}" if context else ""
            raise InputError(
                f"baseline {baseline!r}: {count or 'no'} arms are called so{within}; there are: {listed(arms)}"
            )
    return trials.assign(is_baseline=trials["arm"] == baseline)


def as_trials(
    frame: pd.DataFrame,
    *,
    metric: str,
    baseline: str | None,
    what: str = "the table",
    called: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return a plain table with the columns that a table of trials has besides.

    Names that look alike are one: blanks around them, invisible characters and the two ways to write é do not count.
    So are seeds that are the same number, as 0, 0.0 and "0".

    Args:
        frame: Has the columns ``arm``, ``seed`` and the metric; a column ``context`` where there are several. A row
            without a finite value of the metric is a failed trial: it is counted, and its seed forms no pair. So is one
            that a column ``status`` says to have failed; planned and running ones have no result yet.
        metric: Column of numbers, of whatever type, or of numbers as text.
        baseline: Name of the arm that the others of its context are compared with. None: the arm that is called
            ``baseline``, if there is one.
        what: The table, as messages call it.
        called: Column to what messages call it, where it has another name.

    Raises:
        InputError: If the table is empty, a column is missing or there twice, a name or seed is empty, a cell of the
            metric is no number, an arm has two rows at one seed, or a context lacks the baseline.
    """
    called = called or {}
    columns = list(frame.columns)
    for name in ("arm", "seed", metric):
        if name not in columns:
            raise InputError(f"{what}: no column is called {name!r}; there are: {listed(columns)}")
    for name in ("arm", "seed", metric, "context"):
        if columns.count(name) > 1:
            raise InputError(f"{what}: {columns.count(name)} columns are called {name!r}; rename all but one")
    if metric in TRIAL_COLUMNS:
        raise InputError(f"{what}: the metric cannot be the column {metric!r}, which means something else here")
    if not len(frame):
        raise InputError(f"{what}: there are no rows under the columns {listed(columns)}")
    trials = frame.copy().reset_index(drop=True)
    if "context" not in trials:
        trials["context"] = ""
    for name in ("context", "arm", "seed"):
        cells = list(trials[name].astype(object).where(trials[name].notna(), None))
        found: list[Any] = [None if cell is None else tidy_name(str(cell)) for cell in cells]
        for row, cell in enumerate(found, 1):
            if cell is None or (cell == "" and name != "context"):
                raise InputError(f"{what}: column {called.get(name, name)!r} is empty in row {row}")
        trials[name] = _seeds(cells, found) if name == "seed" else found
    identity = ["context", "arm", "seed"]
    if (twice := trials.duplicated(identity).to_numpy()).any():
        context, arm, seed = trials[identity].iloc[twice.argmax()]
        raise InputError(
            f"{what}: arm {shown(arm)}{_within(context)} has several rows at seed {seed}; an arm has one row at each "
            f"seed, the last epoch's{_told_apart(trials, metric, called)}"
        )
    wanted = tidy_name("baseline" if baseline is None else baseline)
    is_baseline = trials["arm"] == wanted
    for context, rows in trials.groupby("context", sort=False).groups.items():
        if baseline is not None and not is_baseline[rows].any():
            names = trials.loc[rows, "arm"].unique()
            alike = [name for name in names if name.casefold() == wanted.casefold()]
            hint = f"; {alike[0]!r} differs by capitals alone" if alike else ""
            raise InputError(
                f"{what}: no arm is called {shown(wanted)}{_within(context)}, which is to be the baseline; there are: "
                f"{listed(names)}{hint}"
            )
    values = _numbers(trials[metric], called.get(metric, metric), what)
    statuses = np.where(np.isfinite(values), Status.COMPLETE, Status.FAILED).astype(object)
    if "status" in trials:
        ends = [None if cell is None else status_in(tidy_name(str(cell))) for cell in trials["status"]]
        statuses = np.array(
            [found if end in (None, Status.COMPLETE) else end for end, found in zip(ends, statuses, strict=True)]
        )
    arms = trials.groupby(["context", "arm"], sort=False).ngroup()
    return trials.assign(
        **{metric: values},
        arm_id=[f"arm-{number}" for number in arms],
        is_baseline=is_baseline,
        stage=Stage.DESIGN.value,
        status=statuses,
    )


def with_levels(trials: pd.DataFrame, factors: Iterable[str], metric: str) -> pd.DataFrame:
    """Return trials of a plain table with a column ``param.<factor>`` for each factor that is a column of its own."""
    taken = (*TRIAL_COLUMNS, metric)
    for factor in factors:
        if f"param.{factor}" in trials:
            continue
        if factor not in trials or factor in taken:
            known = [name for name in trials if name not in taken]
            raise InputError(f"factors: no column of levels is called {factor!r}; there are: {listed(known)}")
        counts = trials.groupby("arm_id", sort=False)[factor].nunique(dropna=False)
        if (counts > 1).any():
            rows = trials[trials["arm_id"] == counts.idxmax()]
            raise InputError(
                f"factors: an arm has one level of each factor; arm {shown(rows['arm'].iloc[0])} has "
                f"{listed(rows[factor].unique()[:3])} of {factor!r}"
            )
        trials = trials.assign(**{f"param.{factor}": trials[factor]})
    return trials


def _within(context: object) -> str:
    return f" in context {shown(context)}" if context else ""


def _told_apart(trials: pd.DataFrame, metric: str, called: Mapping[str, str]) -> str:
    """Return how rows of one arm and seed can be told apart, where a column does it, as a hint."""
    if trials["context"].ne("").any():
        return ""
    for name in trials.columns:
        told = called.get(name, name)
        is_taken = name in ("context", "arm", "seed", metric) or str(told).lower() in TELL_WHEN
        if is_taken or list(trials.columns).count(name) > 1:
            continue
        # A fold has rows of all arms; what differs from row to row tells nothing apart but rows.
        column = trials[name].astype(str)
        is_of_many = column.nunique() <= len(trials) / 2
        if is_of_many and not trials.assign(context=column).duplicated(["context", "arm", "seed"]).any():
            return f"; or each {told} is a context: --context {told} (in Python: a column 'context')"
    return ""


def _seeds(cells: list[Any], texts: list[str]) -> list[int] | list[str]:
    """Return seeds as whole numbers where all cells are such, in whatever type or text; else the tidied texts."""
    found: list[int] = []
    for cell, text in zip(cells, texts, strict=True):
        whole = None if isinstance(cell, bool | np.bool_) else whole_number(text)
        if whole is None and isinstance(cell, float) and cell.is_integer():
            whole = int(cell)  # so large that it is written with an exponent
        if whole is None:
            return texts
        found.append(whole)
    return found


def _numbers(column: "pd.Series[Any]", metric: str, what: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the cells of the metric as numbers; NaN where there is none."""
    values = np.full(len(column), np.nan)
    is_missing = column.isna().to_numpy()
    for row, cell in enumerate(column.astype(object)):
        if is_missing[row]:
            continue
        value = _number(cell)
        if value is None:
            raise InputError(no_number(what, metric, row + 1, cell))
        values[row] = value
    return values


def _number(cell: object) -> float | None:
    """Return a cell as a number; None where it is none."""
    if isinstance(cell, str):
        return number(tidy_name(cell))
    if not isinstance(cell, int | float | np.integer | np.floating | np.bool_ | Decimal | Fraction):
        return None
    try:
        return float(cell)
    except (ValueError, OverflowError):  # a signalling NaN; an integer of hundreds of digits
        return None


FEWEST, MOST = 50.0, 200.0
"""Ratio of two means between which it is about a hundred."""

MOST_COMPARED = 300
"""Arms that are all compared with one another; more are compared with the baselines alone."""

MOST_TOLD = 3
"""Pairs that are named."""


def scales_in_words(trials: pd.DataFrame, metric: str, called: str | None = None) -> list[str]:
    """Return sentences on arms of which one has about a hundred times the scores of the other.

    Arms are compared within their context, baselines over the contexts as well; within an arm, the seeds.

    Args:
        trials: As `analysis.statistics.any_table.as_trials` gives them.
        metric: Column of the scores.
        called: What sentences call the metric; None: as its column.
    """
    called = called or metric
    scored = trials[trials["status"] == Status.COMPLETE]
    scores = {
        (str(context), str(arm)): rows.tolist()
        for (context, arm), rows in scored.groupby(["context", "arm"], sort=False)[metric]
    }
    baselines = {*scored.loc[scored["is_baseline"], "arm"]}
    means = {key: sum(values) / len(values) for key, values in scores.items()}
    # The baseline first, so that an arm is rather told beside it than beside another arm.
    order = sorted(means, key=lambda key: key[1] not in baselines)
    num_first = sum(key[1] in baselines for key in order) if len(order) > MOST_COMPARED else len(order)
    pairs = [
        (first, second)
        for place, first in enumerate(order[:num_first])
        for second in order[place + 1 :]
        if (first[0] == second[0] or (first[1] == second[1] and first[1] in baselines))
        and _is_hundredfold(means[first], means[second])
    ]
    beside = {second for first, second in pairs if first[1] in baselines}
    pairs = [pair for pair in pairs if pair[0][1] in baselines or not beside.intersection(pair)]
    told = [
        f"{_named(first)} has a mean {called} of {means[first]:.4g}, {_named(second)} of {means[second]:.4g}"
        for first, second in pairs
    ]
    told += [
        f"{_named(key)} has {called} {min(values):.4g} at one seed and {max(values):.4g} at another"
        for key, values in scores.items()
        if len(values) > 1 and _is_hundredfold(min(values), max(values))
    ]
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    text = "; ".join(told[:MOST_TOLD])
    return [f"About a factor of 100: {text}{more}. Is one of them in per cent and the other not?"] if told else []


def _is_hundredfold(first: float, second: float) -> bool:
    if not ((0 < first < math.inf and 0 < second < math.inf) or (-math.inf < first < 0 and -math.inf < second < 0)):
        return False
    # Logarithms are subtracted, for a ratio may be too large or too small for a number.
    return math.log(FEWEST) <= abs(math.log(abs(first)) - math.log(abs(second))) <= math.log(MOST)


def _named(key: tuple[str, str]) -> str:
    context, arm = key
    return f"{arm!r} in {context!r}" if context else repr(arm)
