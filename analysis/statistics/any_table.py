"""Tables that statistics take: trials as `analysis.load` gives them, or a plain table of arm, seed and metric."""

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
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


def of_fixed_arms(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials whose arm was fixed before their results were seen: the scores of others are selected."""
    return trials[trials["stage"].isin([Stage.DESIGN, Stage.CONFIRM])]


def reported(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of arms fixed before their results were seen, each arm once at each seed.

    If teachers are crossed with seeds, a row is the mean over the teachers: it is complete only if the trials with all
    teachers are, and has a score only if all of them have one.
    """
    pool = of_fixed_arms(trials)
    return averaged(pool) if "teacher_id" in pool else pool


def averaged(pool: pd.DataFrame) -> pd.DataFrame:
    """Return trials with one row for each arm and seed: the mean over its trials, complete only if all of them are."""
    key = ["arm_id", "seed"]
    if not pool.duplicated(key).any():
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
    is_finite = trials[metric].abs().lt(np.inf)  # a comparison with NaN is false
    return trials[is_finite & trials["status"].eq(Status.COMPLETE)]


def is_plain(table: pd.DataFrame, what: str) -> bool:
    """Return whether a table lacks a column of `TRIAL_COLUMNS`; raise an InputError if it is no data frame."""
    check_columns(table, (), what=what, source="a table of trials, or a plain one")
    return not set(TRIAL_COLUMNS).issubset(table)


def trials_of(
    table: pd.DataFrame,
    *,
    metric: str,
    what: str,
    baseline: str | None = None,
    needs_baseline: bool = True,
    cluster: str | None = None,
) -> pd.DataFrame:
    """Return a table of trials as it is, or a plain table converted to one; see `as_trials`.

    Warns if names in a plain table look alike, or its scores seem to be on two scales.

    Args:
        table: Trials, which have all of `analysis.arguments.TRIAL_COLUMNS`, or a plain table.
        metric: Column of the scores.
        what: The function that was called, as messages name it.
        baseline: Name of the arm that is the baseline of every context. None: in trials the baseline of the study, in a
            plain table the arm that is called ``baseline``.
        needs_baseline: Whether a plain table without a baseline is refused if none was named.
        cluster: Column of clusters in a plain table; see `as_trials`.
    """
    if not is_plain(table, what):
        check_trials(table, metric, what=what)
        return table if baseline is None else _compared_afresh(table, baseline)
    named = baseline or ("baseline" if needs_baseline else None)
    trials = as_trials(table, metric=metric, baseline=named, cluster=cluster)
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
    cluster: str | None = None,
    places: Sequence[str] = (),
) -> pd.DataFrame:
    """Return a plain table completed to a table of trials.

    Names that look alike count as one: blanks around them, invisible characters and the two ways to write é are
    ignored. Seeds that are the same number, as 0, 0.0 and "0", count as one, too.

    Args:
        frame: Has the columns ``arm``, ``seed`` and the metric; a column ``context`` where there are several. A row
            without a finite value of the metric is a failed trial: it is counted, and its seed forms no pair. So is a
            row that is failed by its column ``status``; planned and running trials have no result yet.
        metric: Column of numbers, of whatever type, or of numbers as text.
        baseline: Name of the arm that the others of its context are compared with. None: the arm that is called
            ``baseline``, if there is one.
        what: The table, as messages call it.
        called: Column -> its name in messages, if that differs.
        cluster: Column of clusters, in each of which an arm has its own row at a seed; None: there are none.
        places: Name of each row in messages; empty: ``row 1`` and so on.

    Raises:
        InputError: If the table is empty, a column is missing or there twice, a name or seed is empty, a cell of the
            metric is no number, an arm has two rows at one seed, or a context lacks the baseline.
    """
    called = called or {}
    columns = list(frame.columns)
    if cluster in ("arm", "seed", "status", metric):
        raise InputError(f"{what}: the clusters cannot be in the column {cluster!r}, which means something else here")
    own = ("arm", "seed", *([cluster] if cluster not in (None, "context") else []))
    for name in (*own, metric):
        if name not in columns:
            alike = [other for other in columns if str(other).casefold() == name.casefold()]
            hint = f"; {alike[0]!r} differs by capitals alone" if alike else ""
            raise InputError(f"{what}: no column is called {name!r}; there are: {listed(columns)}{hint}")
    for name in (*own, metric, "context"):
        if columns.count(name) > 1:
            raise InputError(f"{what}: {columns.count(name)} columns are called {name!r}; rename all but one")
    if metric in TRIAL_COLUMNS:
        raise InputError(f"{what}: the metric cannot be the column {metric!r}, which means something else here")
    if not len(frame):
        raise InputError(f"{what}: there are no rows under the columns {listed(columns)}")
    trials = frame.copy().reset_index(drop=True)
    places = places or [f"row {number}" for number in range(1, len(trials) + 1)]
    if "context" not in trials:
        trials["context"] = ""
    identity = ["context", *own]
    for name in identity:
        cells = list(trials[name].astype(object).where(trials[name].notna(), None))
        found: list[Any] = [None if cell is None else tidy_name(str(cell)) for cell in cells]
        for place, cell in zip(places, found, strict=True):
            if cell is None or (cell == "" and name != "context"):
                raise InputError(f"{what}: column {called.get(name, name)!r} is empty in {place}")
        trials[name] = found if name in ("context", "arm") else _seeds(cells, found)
    if (twice := trials.duplicated(identity).to_numpy()).any():
        context, arm, seed = trials[identity[:3]].iloc[twice.argmax()]
        row = int(twice.argmax())
        first = int(trials[identity].eq(trials[identity].iloc[row]).all(axis="columns").to_numpy().argmax())
        raise InputError(
            f"{what}: arm {shown(arm)}{_within(context)} has several rows at seed {seed} ({places[first]}, "
            f"{places[row]}); an arm has one row at each seed, the last epoch's; each data set is a context (--context "
            "COLUMN; in Python: column 'context'), each fold a cluster (--cluster COLUMN)"
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
    """Return trials of a plain table with a column ``param.<factor>`` for each factor, a copy of ``<factor>``.

    Lists and the like, such as the sizes of layers, are levels as text.
    """
    taken = (*TRIAL_COLUMNS, metric)
    for factor in factors:
        if f"param.{factor}" in trials:
            continue
        if factor not in trials or factor in taken:
            known = [name for name in trials if name not in taken]
            raise InputError(f"factors: no column of levels is called {factor!r}; there are: {listed(known)}")
        levels = trials[factor].map(lambda level: level if isinstance(level, Hashable) else str(level))
        trials = trials.assign(**{f"param.{factor}": levels})
        counts = trials.groupby("arm_id", sort=False)[f"param.{factor}"].nunique(dropna=False)
        if (counts > 1).any():
            rows = trials[trials["arm_id"] == counts.idxmax()]
            raise InputError(
                f"factors: an arm has one level of each factor; arm {shown(rows['arm'].iloc[0])} has "
                f"{listed(rows[f'param.{factor}'].unique()[:3])} of {factor!r}"
            )
    return trials


def _within(context: object) -> str:
    return f" in context {shown(context)}" if context else ""


def _seeds(cells: list[Any], texts: list[str]) -> list[int] | list[str]:
    """Return seeds as integers if every cell is a whole number, in any type or as text; else the tidied texts."""
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
    cells = column.astype(object).to_numpy()
    for row in np.flatnonzero(column.notna()):
        cell = cells[row]
        value = None
        if isinstance(cell, str):
            value = number(tidy_name(cell))
        elif isinstance(cell, int | float | np.integer | np.floating | np.bool_ | Decimal | Fraction):
            with suppress(ValueError, OverflowError):  # a signalling NaN; an integer of hundreds of digits
                value = float(cell)
        if value is None:
            raise InputError(no_number(what, metric, f"row {row + 1}", cell))
        values[row] = value
    return values


MOST_TOLD = 3
"""Largest number of pairs that a message names."""


def scales_in_words(trials: pd.DataFrame, metric: str, called: str | None = None) -> list[str]:
    """Return a sentence on pairs of scores that differ by a factor of about 100; an empty list if there are none.

    It compares each arm with its context's baseline, the baselines of different contexts, and the seeds of each arm.
    """
    called = called or metric
    scored = trials[trials["status"] == Status.COMPLETE]
    scores = scored.groupby(["context", "arm"], sort=False)[metric].agg(["mean", "min", "max"])
    baselines = {*scored.loc[scored["is_baseline"], "arm"]}
    first: dict[Any, Any] = {}  # the baseline of each context, or its first arm
    for context, arm in sorted(scores.index, key=lambda key: key[1] not in baselines):
        first.setdefault(context, (context, arm))
    others = [key for key in first.values() if key[1] in baselines]
    pairs = [(others[0], key) for key in others[1:]] + [(first[key[0]], key) for key in scores.index]
    means = scores["mean"].to_dict()
    sentences = [
        f"{_named(*one)} has a mean {called} of {means[one]:.4g}, {_named(*other)} of {means[other]:.4g}"
        for one, other in pairs
        if _is_hundredfold(means[one], means[other])
    ]
    sentences += [
        f"{_named(*key)} has {called} {least:.4g} at one seed and {most:.4g} at another"
        for key, _, least, most in scores.itertuples()
        if _is_hundredfold(least, most)
    ]
    more = f"; and {len(sentences) - MOST_TOLD} more" if len(sentences) > MOST_TOLD else ""
    text = "; ".join(sentences[:MOST_TOLD])
    return [f"About a factor of 100: {text}{more}. Is one of them in per cent and the other not?"] if sentences else []


def _is_hundredfold(first: float, second: float) -> bool:
    """Return whether one is 50 to 200 times the other; computed by logarithms, since the ratio may overflow."""
    if not (first * np.sign(second) > 0 and np.isfinite([first, second]).all()):
        return False
    return math.log(50) <= abs(math.log(abs(first)) - math.log(abs(second))) <= math.log(200)


def _named(context: str, arm: str) -> str:
    return f"{arm!r} in {context!r}" if context else repr(arm)
