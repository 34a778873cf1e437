"""A CSV file, one row for each arm and seed, whose columns are named by whoever reads it -> a design."""

import math
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.arguments import check_delta, check_question, listed
from analysis.facts import Foreign
from analysis.foreign.table_file import table_rows
from analysis.foreign.trials import ADDRESSES_CUT, ForeignTrial, foreign_results
from analysis.results import Results
from analysis.statistics import cells
from analysis.statistics.any_table import as_trials, scales_in_words
from analysis.statistics.clusters import in_clusters
from analysis.wording import larger_is_better
from cktf.errors import InputError, shown
from cktf.names import BASELINE, tidy_name
from cktf.rows import Alternative, Family, Stage, Status

CANNOT_BE_VOUCHED_FOR = [
    "Arms are compared at seeds of the same number; what a seed fixes, and whether it fixes the same in every arm, was "
    "not seen.",
    "It was not seen who chose the epoch at which a trial was scored, and on which data; nor whether all trials that "
    "were run are in the file.",
]

Ends = list[tuple[Status, str]]
"""How trials ended, and their words for it."""

SAY_STATUS = {"status", "state", "outcome"}
"""Last words of a column's name that is read for how trials ended, unless another is named."""


def read_csv(
    place: str | os.PathLike[str],
    *,
    metric: str,
    arm: str = "arm",
    seed: str = "seed",
    context: str | None = None,
    baseline: str | None = None,
    maximise: bool | None = None,
    delta: float | None = None,
    contrasts: Sequence[str | Sequence[str]] = (),
    family: str = Family.STUDY,
    alternative: str = Alternative.TWO_SIDED,
    margin: float = 0.0,
    unpaired: bool = False,
    cluster: str | None = None,
    status: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
) -> Results:
    """Return the results in a table, a file of CSV, JSON or Parquet, as those of a comparison of named arms.

    A row whose metric is empty or not finite, or that says that it failed, is a failed trial: it is counted, and its
    seed forms no pair. Names are read without blanks at their ends and invisible characters.

    Args:
        place: The file, or its URI; its first line names the columns. See `analysis.foreign.table_file`.
        metric: Column that is compared.
        arm: Column of the arms' names.
        seed: Column of the seeds, whole numbers.
        context: Column of the contexts; None: there is one.
        baseline: Name of the arm that the others of its context are compared with; None: ``baseline``, which may lack
            where no contrast is with it.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.
        delta: The smallest effect that matters, in the metric's unit.
        contrasts: Pairs of arms, each a pair of names or one text with a comma between them; and ``baseline``. These,
            ``family``, ``alternative`` and ``margin`` are as `analysis.statistics.effects.effects` has them.
        family: Over which p is adjusted.
        alternative: Which effects are looked for.
        margin: Of a one-sided alternative.
        unpaired: Whether seeds of one number have nothing in common, as `analysis.statistics.effects.effects` has it.
        cluster: Column of folds, data seeds and the like, in each of which an arm has its own row at a seed; the trials
            are the means over these, one for each cluster, whose number is their seed.
        status: Column that says how a trial ended; None: those whose names end in one of `SAY_STATUS`, if there are
            any.
        separator: What parts the cells of a line, a sign or ``tab``; None: it is found out.
        decimal: The decimal sign of numbers, ``.`` (None) or ``,``.
        encoding: Of the text; None: its first bytes say it, or it is UTF-8.

    Raises:
        InputError: If the file is no such table, lacks a column or the baseline, or has a cell that cannot be read, or
            delta is not above 0, or it is not known which way is better.
    """
    what = os.fspath(place)
    check_delta(delta, "--delta")
    if decimal not in (None, ".", ","):
        raise InputError(f"--decimal {shown(decimal)}: is a point or a comma")
    maximise = larger_is_better(metric, maximise)
    said = {"arm": arm, "seed": seed, "context": context, "metric": metric, "status": status}
    said["cluster"] = cluster
    named = {option: tidy_name(column) for option, column in said.items() if column is not None}
    head, rows = table_rows(what, columns=list(named.values()), separator=separator, encoding=encoding)
    if not rows:
        raise InputError(f"{what}: there are no rows under the columns {listed(head)}")
    table = pd.DataFrame(rows, columns=head, dtype=str)
    _require_columns(what, head, named)
    frame = table[list(named.values())].set_axis(list(named), axis="columns").drop(columns="status", errors="ignore")
    names = [option for option in ("arm", "context") if option in named]
    has_addresses = any(cells.has_address(cell) for option in names for cell in frame[option])
    frame[names] = frame[names].map(cells.tidy_level)
    numbers = _numbers(what, named["metric"], frame["metric"].tolist(), decimal)
    seeds = _seeds(what, named["seed"], frame["seed"].tolist(), decimal)
    others = [name for name in head if name not in named.values() and head.count(name) == 1]
    frame = frame.assign(seed=seeds).mask(lambda cells: cells == "").assign(metric=numbers)
    frame = pd.concat([frame, table[others].add_prefix("other.")], axis="columns")
    called = named | {f"other.{name}": name for name in others}
    pairs = [_pair(what, contrast, frame["arm"].dropna().tolist()) for contrast in contrasts]
    check_question(pairs, family, alternative, margin, delta)
    needs_baseline = not pairs or [BASELINE] in pairs
    wanted = baseline or (BASELINE if needs_baseline else None)
    plain = as_trials(
        frame, metric="metric", baseline=wanted, what=what, called=called, cluster="cluster" if cluster else None
    )
    ends, caveats = _ends(what, table, named)
    plain["status"] = [
        status if end == Status.COMPLETE else end for (end, _), status in zip(ends, plain["status"], strict=True)
    ]
    if cluster:
        plain, ends = _in_clusters(plain, ends)
    trials = [_trial(row, end, named["metric"]) for row, end in zip(plain.to_dict("records"), ends, strict=True)]
    caveats += [ADDRESSES_CUT] * has_addresses
    caveats += scales_in_words(plain, "metric", named["metric"])
    read = ", ".join(f"{option}: column {column}" for option, column in named.items())
    foreign = Foreign(
        origin=f"the CSV file {what} ({read})",
        cannot_be_vouched_for=[*CANNOT_BE_VOUCHED_FOR[unpaired:], *caveats],
        unpaired=unpaired,
        cluster=cluster or "",
    )
    return foreign_results(
        trials,
        name=what.rpartition("/")[2].removesuffix(".csv"),
        metric=named["metric"],
        maximise=maximise,
        stage=Stage.DESIGN,
        foreign=foreign,
        delta=delta,
        contrasts=pairs,
        family=family,
        alternative=alternative,
        margin=margin,
    )


def _pair(what: str, contrast: str | Sequence[str], arms: list[str]) -> list[str]:
    """Return the two arms of a contrast, or ``baseline`` alone; in a text a comma separates two arms."""
    named = {tidy_name(arm) for arm in arms}
    if not isinstance(contrast, str):
        found = [[tidy_name(name) for name in contrast]]
    elif tidy_name(contrast) == BASELINE:
        return [BASELINE]
    else:
        parts = contrast.split(",")
        sides = [(",".join(parts[:place]), ",".join(parts[place:])) for place in range(1, len(parts))]
        found = [[tidy_name(side) for side in both] for both in sides]
    found = [names for names in found if len(names) == 2 and {*names} <= named]
    if len(found) != 1:
        raise InputError(
            f"{what}: --contrast {shown(contrast)}: must be two arms with a comma between them, or {BASELINE}; there "
            f"are: {listed(sorted(named))}"
        )
    return found[0]


def _require_columns(what: str, head: list[str], named: Mapping[str, str]) -> None:
    """Raise an InputError for columns that are missing or there several times."""
    for option, column in named.items():
        if (stands := head.count(column)) > 1:
            raise InputError(f"{what}: {stands} columns are called {column!r} (--{option}); rename all but one")
    if missing := [f"{column!r} (--{option})" for option, column in named.items() if column not in head]:
        of_capitals = {name.casefold(): name for name in head}
        alike = {option: of_capitals[c.casefold()] for option, c in named.items() if c.casefold() in of_capitals}
        hint = " ".join(f"--{option} {column}" for option, column in alike.items())
        raise InputError(
            f"{what}: no column is called {', '.join(missing)}; there are: {listed(head)}; a row is one arm at one "
            "seed, with a column each for the arm, the seed and the metric"
            + (f"; {hint} names what differs by capitals alone" if hint else "")
        )


def _ends(what: str, table: pd.DataFrame, named: dict[str, str]) -> tuple[Ends, list[str]]:
    """Return each row's status and its words for it, and caveats on status columns that were not understood."""
    said = named.get("status")
    ends = [(Status.COMPLETE, "")] * len(table)
    unknown: dict[str, str] = {}
    for place, column in enumerate(table.columns):
        last_word = re.split(r"[\W_]+", column.lower())[-1]
        if column != said and (said or last_word not in SAY_STATUS or column in named.values()):
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
    return ends, [
        f"Column {column} may say how trials ended, but its words, like {cell!r}, are not known, and were not read."
        for column, cell in unknown.items()
    ]


def _in_clusters(plain: pd.DataFrame, ends: Ends) -> tuple[pd.DataFrame, Ends]:
    """Return a trial for each arm and cluster, and how it ended: as the first that failed of those in it."""
    found = in_clusters(plain, "cluster")
    worst = plain.assign(end=pd.Series(ends, index=plain.index)).sort_values(
        "status", key=lambda status: status.eq(Status.COMPLETE), kind="stable"
    )
    first = worst.drop_duplicates(["arm_id", "cluster"]).set_index(["arm_id", "cluster"])["end"]
    ended = [first[key] for key in zip(found["arm_id"], found["seed"], strict=True)]
    is_number = pd.api.types.is_integer_dtype(found["seed"])
    return found if is_number else found.assign(seed=pd.factorize(found["seed"])[0]), ended


def _trial(row: Mapping[Hashable, Any], end: tuple[Status, str], metric: str) -> ForeignTrial:
    """Return a row of a plain table, with its status and reason, as a trial."""
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


def _numbers(what: str, column: str, texts: list[str], decimal: str | None) -> list[float]:
    """Return the numbers in the cells of the metric, NaN where there is none."""
    numbers = []
    for row, text in enumerate(texts, 1):
        is_other = decimal == "," and "." in text
        number = None if is_other else cells.number(text.replace(",", ".") if decimal == "," else text)
        if number is None:
            hint = "; --decimal , reads a comma as the decimal sign" if "," in text and decimal is None else ""
            raise InputError(f"{cells.no_number(what, column, row, text)}{hint}")
        numbers.append(number)
    return numbers


def _seeds(what: str, column: str, seeds: list[str], decimal: str | None) -> list[str]:
    """Return seeds as whole numbers are written, with a point."""
    found = [seed.replace(decimal or ".", ".") for seed in seeds]
    for row, (seed, number) in enumerate(zip(seeds, found, strict=True), 1):
        if seed and cells.whole_number(number) is None:
            raise InputError(
                f"{what}: column {column!r}: a seed is a whole number of at most 64 bits; row {row} has {shown(seed)}"
            )
    return found
