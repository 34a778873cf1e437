"""Statistics of trials, or of any plain table with a row for each arm and seed.

A plain table has the columns ``arm``, ``seed`` and the metric, ``context`` if there are several, and one for each
factor that is asked about; see `analysis.statistics.any_table.as_trials`.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from analysis.arguments import TRIAL_COLUMNS, check_columns, check_factors, listed
from analysis.searches import confirmed as of_confirmed
from analysis.searches import importance as of_importance
from analysis.searches.arms import searched_arms
from analysis.statistics import arms as of_arms
from analysis.statistics import best as of_best
from analysis.statistics import interactions as of_interactions
from analysis.statistics import ranks as of_ranks
from analysis.statistics.any_table import as_trials, trials_of
from analysis.statistics.effects import effects as effects_of
from analysis.wording import larger_is_better
from cktf.errors import InputError, shown
from cktf.rows import Stage, StudyRow

STAGES = (Stage.SEARCH, Stage.CONFIRM)
"""Stages that a plain table of a confirmed search has."""


def arms(
    trials: pd.DataFrame,
    *,
    metric: str = "test_accuracy",
    baseline: str | None = None,
    reference: Mapping[str, Mapping[str, float]] | None = None,
) -> pd.DataFrame:
    """Return mean, standard deviation and interval of every arm; see `analysis.statistics.arms.arms`.

    Args:
        trials: Trials, or a plain table.
        metric: Column that is reported.
        baseline: Name of the arm that is marked as the baseline of every context.
        reference: Context to arm to a published value of the metric.

    Raises:
        InputError: If a column, the baseline or an arm that has a reference is missing, or the metric does not hold
            numbers.
    """
    pool = trials_of(trials, metric=metric, what="arms", baseline=baseline, needs_baseline=False)
    return of_arms.arms(pool, metric=metric, reference=reference)


def best(trials: pd.DataFrame, *, metric: str = "test_accuracy", maximise: bool | None = None) -> pd.DataFrame:
    """Return which arms are the best of their context, or not told from it; see `analysis.statistics.best.best`.

    Args:
        trials: Trials, or a plain table.
        metric: Column that is compared.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.

    Raises:
        InputError: If a column is missing, the metric does not hold numbers, or the direction is not known.
    """
    pool = trials_of(trials, metric=metric, what="best", needs_baseline=False)
    return of_best.best(pool, metric=metric, maximise=larger_is_better(metric, maximise))


def ranks(
    trials: pd.DataFrame,
    effects: pd.DataFrame | None = None,
    *,
    metric: str = "test_accuracy",
    maximise: bool | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """Return how every arm ranks over contexts, and the tests of that; see `analysis.statistics.ranks.ranks`.

    Args:
        trials: Trials, or a plain table with a column ``context``.
        effects: As `analysis.effects` gives them; None: they are computed.
        metric: Column that is compared.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.
        baseline: Name of the arm that the others of each context are compared with.

    Raises:
        InputError: If a column or the baseline is missing, the metric does not hold numbers, the effects are none or of
            another metric, or the direction is not known.
    """
    maximise = larger_is_better(metric, maximise)
    pool = trials_of(trials, metric=metric, what="ranks", baseline=baseline)
    if effects is None:
        effects = effects_of(pool, metric=metric, maximise=maximise)
    return of_ranks.ranks(pool, effects, metric=metric, maximise=maximise)


def interactions(
    trials: pd.DataFrame,
    *,
    factors: Iterable[str],
    metric: str = "test_accuracy",
    baseline: str | None = None,
) -> pd.DataFrame:
    """Return main effects and interactions of a grid or a fraction.

    See `analysis.statistics.interactions.interactions`.

    Args:
        trials: Trials, or a plain table with a column for each factor.
        factors: Paths of the factors; in a plain table names of columns.
        metric: Column that is compared.
        baseline: Name of the arm whose levels are the reference levels; None: the study's, or in a plain table the arm
            that is called ``baseline``, or else the first arm.

    Raises:
        InputError: If a column, a factor or the baseline is missing, an arm has several levels of a factor or none, or
            the metric does not hold numbers.
    """
    pool = trials_of(trials, metric=metric, what="interactions", baseline=baseline, needs_baseline=False)
    factors = factors if isinstance(factors, str) else list(factors)
    if not isinstance(factors, str) and not set(TRIAL_COLUMNS).issubset(trials):
        pool = _with_levels(pool, factors, metric)
        for factor in factors:
            if (is_empty := pool[f"param.{factor}"].isna()).any():
                raise InputError(f"factors: column {factor!r} is empty in row {int(is_empty.argmax()) + 1}")
    check_factors(pool, factors)
    return of_interactions.interactions(pool, factors=[*factors], metric=metric)


def importance(
    trials: pd.DataFrame,
    epochs: pd.DataFrame | None = None,
    study: StudyRow | None = None,
    *,
    metric: str = "validation_accuracy",
    factors: Iterable[str] = (),
    log_factors: Iterable[str] = (),
    maximise: bool | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how much each factor of a search mattered; see `analysis.searches.importance.importance`.

    Args:
        trials: Trials, with ``epochs`` and ``study``; or a plain table with a column for each factor, which is empty
            for an arm that does not have it. An arm's score is its mean over seeds; an arm without a finite score at
            each of them has failed.
        epochs: As `analysis.load` gives them.
        study: What was searched; None: the trials are a plain table.
        metric: Column of a plain table that was optimised.
        factors: Its columns that were searched.
        log_factors: Those of them that were searched on a logarithmic scale.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.
        seed: Of all random draws.

    Raises:
        InputError: If a column is missing or does not hold what it must, an arm has several levels of a factor, the
            direction is not known, or trials come without their study.
    """
    if study is not None:
        if epochs is None:
            raise InputError("importance takes epochs, as analysis.load gives them; got NoneType")
        return of_importance.importance(trials, epochs, study, seed=seed)
    check_columns(trials, (), what="importance", source="a table of trials, or a plain one")
    if set(TRIAL_COLUMNS).issubset(trials):
        raise InputError("importance of trials takes their epochs and study (in Python: results.facts.study) too")
    maximise = larger_is_better(metric, maximise)
    factors, log_factors = _names("factors", factors), _names("log_factors", log_factors)
    if not factors:
        raise InputError(f"factors: none are named; there are the columns {listed(trials)}")
    if unknown := [name for name in log_factors if name not in factors]:
        raise InputError(f"log_factors: {shown(unknown[0])} is none of the factors, which are {listed(factors)}")
    pool = _with_levels(as_trials(trials, metric=metric, baseline=None), factors, metric)
    for factor in log_factors:
        levels = pd.to_numeric(pool[f"param.{factor}"], errors="coerce")
        if not (levels[pool[f"param.{factor}"].notna()] > 0).all():
            raise InputError(f"log_factors: the levels of {factor!r} must be numbers above 0")
    pool = pool.assign(stage=Stage.SEARCH.value, number=range(len(pool)), wall_seconds=float("nan"))
    searched = StudyRow(
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
    on_the_way = pd.DataFrame({"arm_id": [], "step": [], "score": []}).astype({"arm_id": "str"})
    return of_importance.importance_of_arms(searched_arms(pool, on_the_way, searched), on_the_way, searched, seed=seed)


def confirmed(
    trials: pd.DataFrame,
    effects: pd.DataFrame | None = None,
    *,
    metric: str,
    maximise: bool | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """Return every confirmed arm's search score and mean at fresh seeds; see `analysis.searches.confirmed.confirmed`.

    Args:
        trials: Trials, or a plain table with a column ``stage`` that holds ``search`` or ``confirm``.
        effects: As `analysis.effects` gives them; None: those of the metric, of the confirmed arms.
        metric: Column that was optimised.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.
        baseline: Name of the arm that the confirmed arms are compared with.

    Raises:
        InputError: If a column or the baseline is missing or does not hold what it must, the effects are none, or the
            direction is not known.
    """
    maximise = larger_is_better(metric, maximise)
    check_columns(trials, (), what="confirmed", source="a table of trials, or a plain one")
    if set(TRIAL_COLUMNS).issubset(trials):
        pool = trials_of(trials, metric=metric, what="confirmed", baseline=baseline)
    else:
        pool = _confirmed_search(trials, metric, "baseline" if baseline is None else baseline)
    if effects is None:
        effects = effects_of(pool, metric=metric, maximise=maximise)
    return of_confirmed.confirmed(pool, effects, metric=metric, maximise=maximise)


def _confirmed_search(table: pd.DataFrame, metric: str, baseline: str) -> pd.DataFrame:
    """Return a plain table of a search and its confirmation as trials; an arm has one id in both."""
    check_columns(table, ("stage",), what="confirmed", source="a plain table with a column 'stage'")
    for row, cell in enumerate(table["stage"], 1):
        if cell not in STAGES:
            raise InputError(
                f"the table: column 'stage' must be one of {', '.join(STAGES)}; row {row} has {shown(cell)}"
            )
    parts = []
    for stage in STAGES:
        rows = table[table["stage"] == stage]
        if not len(rows):
            raise InputError(f"the table: no row has the stage {stage.value!r}")
        named = baseline if stage == Stage.CONFIRM else None
        what = f"the rows of stage {stage.value!r}"
        parts.append(as_trials(rows, metric=metric, baseline=named, what=what).assign(stage=stage.value))
    pool = pd.concat(parts, ignore_index=True)
    arm_ids = pool.groupby(["context", "arm"], sort=False).ngroup().map("arm-{}".format)
    baselines = pool.loc[pool["is_baseline"] & pool["stage"].eq(Stage.CONFIRM), "arm"]
    return pool.assign(arm_id=arm_ids, is_baseline=pool["arm"].isin(baselines))


def _names(what: str, names: Iterable[str]) -> list[str]:
    """Return names of columns as a list without repetitions."""
    if isinstance(names, str):
        raise InputError(f"{what}: must be a list of names; got {names!r}")
    return list(dict.fromkeys(names))


def _with_levels(trials: pd.DataFrame, factors: list[str], metric: str) -> pd.DataFrame:
    """Return trials with a column ``param.<factor>`` for each factor that is a column of its own.

    Raises:
        InputError: If a factor is no column, or means something else, or an arm has several levels of one.
    """
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
