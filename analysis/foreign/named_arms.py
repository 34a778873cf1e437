"""Foreign trials whose columns or params name the arm, the seed and the context -> a comparison of named arms."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import check_delta, check_question, listed
from analysis.facts import Foreign
from analysis.foreign.table_file import Table
from analysis.foreign.trials import ADDRESSES_CUT, ForeignTrial, foreign_results
from analysis.results import Results
from analysis.statistics import cells
from analysis.statistics.any_table import as_trials, scales_in_words
from analysis.statistics.clusters import in_clusters
from cktf.errors import InputError, shown, within
from cktf.names import BASELINE, tidy_name
from cktf.rows import Alternative, Family, Stage, Status

CANNOT_BE_VOUCHED_FOR = [
    "Arms are compared at seeds of the same number; what a seed fixes, and whether it fixes the same in every arm, was "
    "not seen.",
    "Nor was who chose the epoch at which a trial was scored, and on which data; nor whether all trials that were run "
    "are among these.",
]

UNPAIRED = "That seeds of one number have nothing in common was said, and not seen."
"""Replaces the first sentence of `CANNOT_BE_VOUCHED_FOR` if seeds are unpaired."""

BEST = "A trial is scored by its best value on the way, not by its last one: the more so, the more its values scatter."

MOST_NAMED = 3
"""Largest number of trials that a caveat names."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Trials as they were found, each with the texts that may name its arm, seed and context.

    Attributes:
        what: The file, folder or storage, as messages call it.
        origin: The same with its kind, for the report.
        name: Name of the study that the trials form.
        table: The texts, a row for each trial.
        trials: The trials, whose arms and seeds are not set yet.
        caveats: Sentences on how they were read.
    """

    what: str
    origin: str
    name: str
    table: Table
    trials: Sequence[ForeignTrial]
    caveats: Sequence[str] = ()


def compared(
    found: Found,
    *,
    metric: str,
    maximise: bool,
    best: bool = False,
    arm: str | None = "arm",
    seed: str = "seed",
    context: str | None = None,
    baseline: str | None = None,
    delta: float | None = None,
    contrasts: Sequence[str | Sequence[str]] = (),
    family: str = Family.STUDY,
    alternative: str = Alternative.TWO_SIDED,
    margin: float = 0.0,
    unpaired: bool = False,
    cluster: str | None = None,
) -> Results:
    """Return trials as the results of a comparison of named arms.

    A trial without a finite score is a failed one: it is counted, and its seed forms no pair. Names are read without
    blanks at their ends and invisible characters.

    Args:
        found: The trials.
        metric: Name of the trials' score.
        maximise: Whether a larger score is better.
        best: Whether a complete trial with values on the way is scored by the best of them.
        arm: Column of the arms' names; None: all params of a trial but those of seed and context name its arm.
        seed: Column of the seeds, whole numbers.
        context: Column of the contexts; None: there is one.
        baseline: Name of the arm that the others of its context are compared with; None: ``baseline``, which may be
            missing if no contrast is with it.
        delta: The smallest effect that matters, in the metric's unit.
        contrasts: Pairs of arms, each two names or one text with a comma between them; or the entry ``baseline``. See
            `analysis.statistics.effects.effects` for this and the next four arguments.
        family: Comparisons over which p is adjusted.
        alternative: Which effects are looked for.
        margin: Margin of a one-sided alternative.
        unpaired: Whether seeds of one number have nothing in common.
        cluster: Column of folds, data seeds and the like, in each of which an arm has its own trial at a seed. The
            results have one trial for each arm and cluster: the mean, whose seed is the cluster.

    Raises:
        InputError: If a column or the baseline is missing, a cell is empty or no whole number, an arm has two trials at
            one seed, or delta is not above 0.
    """
    what, places = found.what, found.table.places
    check_delta(delta, "--delta")
    asked = {"arm": arm, "seed": seed, "context": context, "cluster": cluster}
    called = {option: tidy_name(column) for option, column in asked.items() if column is not None}
    require_columns(what, found.table.head, called)
    table = pd.DataFrame(found.table.rows, columns=found.table.head, dtype=str)
    frame = table[list(called.values())].set_axis(list(called), axis="columns")
    caveats = [UNPAIRED if unpaired else CANNOT_BE_VOUCHED_FOR[0], *CANNOT_BE_VOUCHED_FOR[1:], *found.caveats]
    names = [option for option in ("arm", "context") if option in called]
    if any(cells.has_address(cell) for option in names for cell in frame[option]):
        caveats.append(ADDRESSES_CUT)
    frame[names] = frame[names].map(cells.tidy_level)
    if arm is None:
        frame["arm"] = _params_in_words(found, {*called.values()})
    for cell, place in zip(frame["seed"], places, strict=True):
        if cell and cells.whole_number(cell) is None:
            raise InputError(
                f"{what}: column {called['seed']!r}: a seed is a whole number of at most 64 bits; {place} has "
                f"{shown(cell)}"
            )
    scored = [*map(partial(_best, maximise=maximise), found.trials)] if best else found.trials
    caveats += [BEST] * (best and any(trial.on_the_way for trial in scored)) + _unequal_lengths(scored, places)
    scores = [np.nan if trial.score is None else trial.score for trial in scored]
    statuses = [str(trial.status) for trial in scored]
    frame = frame.mask(lambda cells: cells == "").assign(metric=scores, status=statuses)
    pairs = [_pair(what, contrast, frame["arm"].dropna().tolist()) for contrast in contrasts]
    check_question(pairs, family, alternative, margin, delta)
    wanted = baseline or (BASELINE if not pairs or [BASELINE] in pairs else None)
    of_clusters = "cluster" if cluster else None
    plain = as_trials(
        frame, metric="metric", baseline=wanted, what=what, called=called, cluster=of_clusters, places=places
    )
    caveats += scales_in_words(plain, "metric", metric)
    if cluster:
        with within(what):
            plain, scored = _in_clusters(plain, scored, called["cluster"])
    fields = ("arm", "arm_id", "seed", "context", "is_baseline")
    own: list[dict[str, Any]] = [dict(zip(fields, row, strict=True)) for row in plain[[*fields]].to_numpy().tolist()]
    read = ", ".join(f"{option}: column {column}" for option, column in (called | {"metric": metric}).items())
    return foreign_results(
        [replace(trial, **of_arm) for trial, of_arm in zip(scored, own, strict=True)],
        name=found.name,
        metric=metric,
        maximise=maximise,
        stage=Stage.DESIGN,
        foreign=Foreign(
            origin=f"{found.origin} ({read})", cannot_be_vouched_for=caveats, unpaired=unpaired, cluster=cluster or ""
        ),
        factors=[],
        delta=delta,
        contrasts=pairs,
        family=family,
        alternative=alternative,
        margin=margin,
    )


def _in_clusters(
    plain: pd.DataFrame, trials: Sequence[ForeignTrial], called: str
) -> tuple[pd.DataFrame, list[ForeignTrial]]:
    """Return a row and a trial for each arm and cluster: the mean, with the status of the first that failed, if any."""
    found = in_clusters(plain, "cluster", called)
    order = np.argsort(plain["status"].eq(Status.COMPLETE), kind="stable")
    first: dict[Any, ForeignTrial] = {}
    for row in order:
        first.setdefault((plain.at[row, "arm_id"], plain.at[row, "cluster"]), trials[row])
    ended = [
        replace(first[arm_id, seed], score=None if np.isnan(score) else score, on_the_way=(), wall_seconds=None)
        for arm_id, seed, score in zip(found["arm_id"], found["seed"], found["metric"], strict=True)
    ]
    is_number = pd.api.types.is_integer_dtype(found["seed"])
    return found if is_number else found.assign(seed=pd.factorize(found["seed"])[0]), ended


def require_columns(what: str, head: Sequence[str], named: Mapping[str, str]) -> None:
    """Raise an InputError if a column, given by its option, is missing or there several times."""
    count = Counter(head)
    for option, column in named.items():
        if count[column] > 1:
            raise InputError(f"{what}: {count[column]} columns are called {column!r} (--{option}); rename all but one")
    if missing := [f"{column!r} (--{option})" for option, column in named.items() if column not in count]:
        of_capitals = {name.casefold(): name for name in head}
        alike = {option: of_capitals[c.casefold()] for option, c in named.items() if c.casefold() in of_capitals}
        hint = " ".join(f"--{option} {column}" for option, column in alike.items() if column not in named.values())
        raise InputError(
            f"{what}: no column is called {', '.join(missing)}; there are: {listed(head)}; a row is one arm at one "
            "seed, with a column each for the arm, the seed and the metric"
            + (f"; {hint} names what differs by capitals alone" if hint else "")
        )


def refuse_questions(what: str, asked: Mapping[str, object]) -> None:
    """Raise an InputError if arguments of `compared` are given although neither arm nor seed is named."""
    if asked:
        option = {"contrasts": "contrast"}.get(first := next(iter(asked)), first)
        raise InputError(f"{what}: --{option} is of arms at seeds: --seed names the param that is the seed")


def with_names(what: str, table: Table, of_runs: Sequence[str], names: str) -> Table:
    """Return a table with a column for each part of the runs' names; they replace columns of the same names.

    Of the columns that may hold the names, the first that the table has is read; ``names`` says where arm, seed and
    context stand in them: ``{arm}-s{seed}``.

    Raises:
        InputError: If there is no such column, the form has no such part, or a name is not of this form.
    """
    column = next((table.head.index(name) for name in of_runs if name in table.head), None)
    if column is None:
        raise InputError(f"{what}: --names: no column {' or '.join(of_runs)}; there are: {listed(table.head)}")
    form = form_of_names(names)
    added = [*form.groupindex]
    others = [place for place, name in enumerate(table.head) if name not in added]
    rows = []
    for row in table.rows:
        if not (match := form.fullmatch(row[column])):
            raise InputError(f"{what}: the run {shown(row[column])} is not called as --names {shown(names)} says")
        rows.append([row[place] for place in others] + [match[name] for name in added])
    return Table([table.head[place] for place in others] + added, rows, table.places)


def form_of_names(names: str) -> re.Pattern[str]:
    """Return the pattern of the runs' names, with a group for each part, of a form such as ``{arm}-s{seed}``.

    Raises:
        InputError: If the form has no such part, one twice or another one.
    """
    parts = re.split(r"\{(\w*)\}", names)
    added = parts[1::2]
    if not added or len({*added}) < len(added) or not {*added} <= {"arm", "seed", "context", "any"}:
        raise InputError(
            f"--names {shown(names)}: says where arm, seed or context stand in the names of runs, as "
            "'{arm}-s{seed}' does; '{any}' is anything else"
        )
    return re.compile(
        "".join(
            re.escape(part) if place % 2 == 0 else f"(?P<{part}>{'-?[0-9]+' if part == 'seed' else '.+?'})"
            for place, part in enumerate(parts)
        )
    )


def _params_in_words(found: Found, others: set[str]) -> list[str]:
    """Return the name of each trial's arm, made of all its params except ``others``."""
    names = [
        ", ".join(f"{name}={level}" for name, level in trial.params.items() if name not in others)
        for trial in found.trials
    ]
    if not all(names):
        raise InputError(
            f"{found.what}: there are no params beside {listed(sorted(others))}; --arm names what is compared"
        )
    return names


def _best(trial: ForeignTrial, *, maximise: bool) -> ForeignTrial:
    scores = [score for _, score in trial.on_the_way if np.isfinite(score)]
    if trial.status != Status.COMPLETE or not scores or trial.score is None or not np.isfinite(trial.score):
        return trial
    return replace(trial, score=max(scores) if maximise else min(scores))


def _unequal_lengths(trials: Sequence[ForeignTrial], places: Sequence[str]) -> list[str]:
    """Return a caveat on complete trials that end before the longest, if there are any."""
    ends = [
        (trial.on_the_way[-1][0], place)
        for trial, place in zip(trials, places, strict=True)
        if trial.on_the_way and trial.status == Status.COMPLETE
    ]
    longest = max((end for end, _ in ends), default=0)
    if not (short := [f"{place} at {end}" for end, place in ends if end < longest]):
        return []
    named = ", ".join(short[:MOST_NAMED]) + (", ..." if len(short) > MOST_NAMED else "")
    return [f"Trials that end before step {longest}, the last of the longest, and count: {len(short)} ({named})."]


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
