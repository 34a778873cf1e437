"""A plain table read as a search: each arm's levels of the searched factors, and its score."""

from collections.abc import Iterable

import pandas as pd

from analysis.arguments import listed
from analysis.searches.arms import NOT_ON_THE_WAY, searched_arms
from analysis.statistics.any_table import as_trials, is_plain, with_levels
from analysis.wording import larger_is_better
from cktf.errors import InputError, shown
from cktf.rows import Stage, StudyRow


def plain_search(
    table: pd.DataFrame, metric: str, factors: Iterable[str], log_factors: Iterable[str], maximise: bool | None
) -> tuple[pd.DataFrame, StudyRow]:
    """Return the searched arms of a plain table, and the study row of the search."""
    if not is_plain(table, "importance"):
        raise InputError("importance of trials takes their epochs and study (in Python: results.facts.study) too")
    maximise = larger_is_better(metric, maximise)
    factors, log_factors = _names("factors", factors), _names("log_factors", log_factors)
    if not factors:
        raise InputError(f"factors: none are named; there are the columns {listed(table)}")
    if unknown := [name for name in log_factors if name not in factors]:
        raise InputError(f"log_factors: {shown(unknown[0])} is none of the factors, which are {listed(factors)}")
    pool = with_levels(as_trials(table, metric=metric, baseline=None), factors, metric)
    check_one_context(pool)
    for factor in log_factors:
        levels = pd.to_numeric(pool[f"param.{factor}"], errors="coerce")
        if not (levels[pool[f"param.{factor}"].notna()] > 0).all():
            raise InputError(f"log_factors: the levels of {factor!r} must be numbers above 0")
        pool[f"param.{factor}"] = levels  # which were texts, perhaps
    pool = pool.assign(stage=Stage.SEARCH.value, number=range(len(pool)), wall_seconds=float("nan"))
    study = StudyRow(
        study="a plain table",
        run="",
        question="",
        design="search",
        metric=metric,
        report_metric=metric,
        maximise=maximise,
        baseline_arm_id="",
        factors=factors,
        log_factors=log_factors,
    )
    return searched_arms(pool, NOT_ON_THE_WAY, study), study


def check_one_context(trials: pd.DataFrame) -> None:
    """Raise an InputError if a search has several contexts, whose scores cannot be ranked together."""
    if len(contexts := trials["context"].unique()) > 1:
        raise InputError(f"the table: a search has one context; column 'context' has {listed(contexts)}")


def _names(what: str, names: Iterable[str]) -> list[str]:
    """Return names of columns as a list without repetitions."""
    if isinstance(names, str):
        raise InputError(f"{what}: must be a list of names; got {names!r}")
    return list(dict.fromkeys(names))
