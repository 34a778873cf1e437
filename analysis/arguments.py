"""Checks of the arguments of statistics, made before anything is computed; each raises a ValueError."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from cktf.errors import InputError
from cktf.looks import Spending
from cktf.names import BASELINE
from cktf.rows import Alternative, Family

TRIAL_COLUMNS = ("context", "arm", "arm_id", "is_baseline", "seed", "stage", "status")
"""Columns, beside the metric, that statistics read in a table of trials; a table without one of them is plain."""


def check_trials(trials: pd.DataFrame, metric: str, *, what: str) -> None:
    """Raise an InputError unless this is a table of trials with this metric; ``what`` names the caller."""
    check_columns(trials, TRIAL_COLUMNS, what=what, source="trials, as analysis.load gives them")
    if metric not in trials:
        known = [name for name in numeric_columns(trials) if name not in TRIAL_COLUMNS]
        raise InputError(f"metric {metric!r}: the trials have no such column; numbers are in {listed(known)}")
    if not pd.api.types.is_numeric_dtype(trials[metric]) or pd.api.types.is_bool_dtype(trials[metric]):
        raise InputError(f"metric {metric!r}: the column does not hold numbers, but {trials[metric].dtype}")


def check_columns(frame: pd.DataFrame, columns: Iterable[str], *, what: str, source: str) -> None:
    """Raise an InputError unless this is a data frame with these columns."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{what} takes {source}; got {type(frame).__name__}")  # no TypeError
    if missing := [name for name in columns if name not in frame]:
        raise InputError(f"{what} takes {source}; these columns are missing: {listed(missing)}")


def check_factors(trials: pd.DataFrame, factors: Iterable[str]) -> list[str]:
    """Return the names of factors; raise an InputError for one that no arm has or that is named twice."""
    if isinstance(factors, str):
        raise InputError(f"factors: must be a list of paths; got {factors!r}")
    names = list(factors)
    known = [str(name).removeprefix("param.") for name in trials if str(name).startswith("param.")]
    for name in names:
        if name not in known:
            raise InputError(f"factors: no arm has a factor {name!r}; there are: {listed(known)}")
        if names.count(name) > 1:
            raise InputError(f"factors: {name!r} is named {names.count(name)} times")
    return names


def check_maximise(maximise: object) -> None:
    """Raise an InputError for anything but True and False: a text such as ``"min"`` would count as true."""
    if not isinstance(maximise, bool | np.bool_):
        raise InputError(f"maximise: must be True (larger is better) or False; got {maximise!r}")  # no TypeError


def check_delta(delta: object, name: str = "delta") -> None:
    """Raise an InputError unless delta is None or a finite number above 0; the message calls it ``name``."""
    if delta is not None and not (_is_finite(delta) and delta > 0):
        raise InputError(f"{name} {delta!r}: the smallest effect that matters is a finite number above 0")


def _is_finite(value: object) -> TypeGuard[float]:
    is_bool = isinstance(value, bool)
    return not is_bool and isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)


def check_question(
    contrasts: Sequence[str | Sequence[str]], family: str, alternative: str, margin: float, delta: float | None
) -> None:
    """Raise an InputError for contrasts that are no pairs, or an invalid family, alternative, margin or delta."""
    if isinstance(contrasts, str):
        raise InputError(f"contrasts: must be a list of pairs; got {contrasts!r}")
    for name, said, allowed in (("family", family, Family), ("alternative", alternative, Alternative)):
        if said not in tuple(allowed):
            raise InputError(f"{name} {said!r}: must be one of {listed(allowed)}")
    met: set[frozenset[str]] = set()
    for entry in contrasts:
        names = [entry] if isinstance(entry, str) else [*map(str, entry)]
        if (names != [BASELINE] and len({*names}) != 2) or len(names) > 2:
            raise InputError(
                f"contrasts {', '.join(names)}: must be the names of two arms; or {BASELINE!r} alone, for "
                "every arm against the baseline"
            )
        if frozenset(names) in met:
            raise InputError(f"contrasts {', '.join(names)}: stands there twice; a comparison is made once")
        met.add(frozenset(names))
    if not _is_finite(margin):
        raise InputError(f"margin {margin!r}: must be a finite number")
    if alternative == Alternative.TWO_SIDED and margin:
        raise InputError(f"margin {margin}: only a one-sided alternative has one, better or worse")
    if alternative != Alternative.TWO_SIDED and delta is not None:
        raise InputError(f"delta {delta:g}: is of two-sided comparisons; alternative {alternative!r} has a margin")


def check_race(looks: Sequence[int], spending: str) -> None:
    """Raise an InputError unless looks are increasing whole numbers from 2 on, and the spending is a known one."""
    are_counts = not isinstance(looks, str) and all(isinstance(look, int) for look in looks)
    if not are_counts or any(after <= before for before, after in pairwise([1, *looks])):
        raise InputError(f"looks: must be numbers of seeds, from 2 on and increasing; got {looks!r}")
    if spending not in tuple(Spending):
        raise InputError(f"spending {spending!r}: must be one of {listed(Spending)}")


def check_design(unpaired: object, cluster: object, *, has_looks: bool) -> None:
    """Raise an InputError for an invalid ``unpaired`` or ``cluster``, or for either of them together with looks."""
    if not isinstance(unpaired, bool | np.bool_):
        raise InputError(f"unpaired: must be True or False; got {unpaired!r}")
    if cluster is not None and not isinstance(cluster, str):
        raise InputError(f"cluster: must be the name of a column; got {cluster!r}")
    if has_looks and (unpaired or cluster is not None):
        raise InputError("unpaired, cluster: a race, or a study with added seeds, is judged by its paired seeds")


def check_confidence(confidence: float) -> None:
    """Raise an InputError for a confidence that is not between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence: must be between 0 and 1, as 0.95 is; got {confidence!r}")


def numeric_columns(frame: pd.DataFrame) -> list[str]:
    """Return the names of the numeric columns, except those of the configuration and of factors' levels."""
    names = [str(name) for name in frame.select_dtypes("number").columns]
    return [name for name in names if not name.startswith(("config.", "param."))]


def listed(names: Iterable[Any]) -> str:
    """Return names for a message, separated by commas."""
    return ", ".join(map(str, names)) or "none"
