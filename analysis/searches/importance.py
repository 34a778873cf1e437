"""Importance of each factor of a search for its score, with intervals and a threshold for factors without influence.

Methods are PED-ANOVA (Watanabe, Bansal, Hutter 2023; by Optuna, with conditional factors) and, for factors that every
arm has, fANOVA (Hutter, Hoos, Leyton-Brown 2014; see `analysis.searches.fanova`); `MEANINGS` says what each asks.

Most of the bad arms are pruned ones, so both methods use these, too: PED-ANOVA as tried and not among the best (there
is no result if fewer than a tenth of the arms are complete); fANOVA compares all arms after the last epoch that all of
them have done, where factors that act late look smaller than they are. Failed arms are left out.

Intervals are percentiles over the bootstrap samples of the arms for which shares are defined. They assume independent
arms, which those of a sampler that learns are not. A share is never negative, so even a factor without influence has an
interval above zero. The share that such a factor gets is measured with shadows, as in Boruta (Kursa, Rudnicki 2010):
copies of all factors, whose levels are shuffled among the arms, join the factors; ``shadow`` is the 95% quantile of the
largest share of any shadow. A factor below it cannot be distinguished from one without influence. In PED-ANOVA, a
shadow's share is the one that it would have if it alone joined the factors.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.arguments import check_columns, check_trials
from analysis.searches.arms import BEST, JUDGED, NOT_ON_THE_WAY, comparable_scores, scores_on_the_way, searched_arms
from analysis.searches.fanova import as_numbers, fanova
from analysis.searches.plain_search import plain_search
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, Floats
from analysis.statistics.levels import is_numeric
from analysis.wording import counted
from cktf.errors import InputError
from cktf.rows import Status, StudyRow

if TYPE_CHECKING:
    import optuna

MIN_ARMS = 10
"""Fewest complete or pruned arms for an importance: PED-ANOVA compares the best tenth with all."""

MAX_ARMS = 1000
"""Largest number of arms that are judged; of more, a random sample, whose uncertainty the intervals include."""

NUM_RESAMPLES = 100

NUM_TREES = 64
"""Trees of fANOVA's forest; Optuna's default."""

NUM_TREES_OF_A_RESAMPLE = 16
"""Trees for each sample of the bootstrap. A share is a mean over trees, so their number does not shift it: fewer make
it scatter more, hence the interval a little wider, never narrower, in a quarter of the time."""

NUM_SHUFFLES = 40
"""Times that the levels of shadows are shuffled; fANOVA's forests then have as few trees as for a resample."""

FEWER_TREES = (
    f" (fANOVA: forests of {NUM_TREES_OF_A_RESAMPLE} trees, of {NUM_TREES} for the share itself, so that the intervals "
    "are a little too wide)"
)

INTERACTIONS = "interactions"
"""Name of fANOVA's row with the share that no factor explains by itself."""

COLUMNS = columns(
    """
    metric method factor importance low high confidence first shadow after_epoch n_complete n_pruned n_failed reason
    """
)

Arms = NDArray[np.int64]
"""Indices of arms."""

Evaluate = Callable[[Arms, int, Arms | None], Floats]
"""(arms, number of trees, None) -> shares of the factors (factors,), NaN if undefined for this sample. With shuffled
arms in place of None, whose levels the shadows take -> shares of the shadows (factors,)."""


MEANINGS = {
    "ped-anova": "PED-ANOVA splits among the factors what sets the best tenth of the arms apart: its shares sum to 1, "
    "and are no shares of a variance.",
    "fanova": "fANOVA: share of the variance of the score, as a forest of regression trees predicts it over the whole "
    "domain, that a factor explains by itself; interactions of factors have the rest, and with them noise that the "
    "forest has learnt.",
}
"""Method -> a sentence on the meaning of its shares."""


class _UnknownError(ValueError):
    """Raised with the reason why a method cannot judge these arms."""


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
    """Return the importance of every factor of a search by PED-ANOVA and by fANOVA.

    Args:
        trials: As `analysis.load` gives them, with ``epochs`` and ``study``; only those of a search's own stage are
            read. Or a plain table of one context with a column for each factor, empty for an arm that lacks it. An
            arm's score is its mean over seeds; an arm without a finite score at each of them has failed.
        epochs: As `analysis.load` gives them; their scores are needed to compare pruned arms.
        study: Study row of the search; None: the trials are a plain table.
        metric: Column of a plain table that was optimised.
        factors: Columns of a plain table that were searched.
        log_factors: Those of the factors that were searched on a logarithmic scale.
        maximise: Whether a larger metric is better; None: it is, and a name that suggests a loss is refused.
        seed: Seed of the bootstrap, of the forests, and of the choice of arms if there are too many.

    Returns:
        One row for each method and factor, most important first within a method; of fANOVA also one of `INTERACTIONS`,
        if it judges two factors or more. The page on tables says what each column means. ``importance`` is NaN where
        ``reason`` says why. Empty where nothing was searched.

    Raises:
        InputError: If a column is missing or does not hold what it must, an arm has several levels of a factor, the
            direction is not known, or trials come without their study.
    """
    if study is None:
        arms, study = plain_search(trials, metric, factors, log_factors, maximise)
        return importance_of_arms(arms, NOT_ON_THE_WAY, study, seed=seed)
    if not isinstance(study, StudyRow) or epochs is None:
        raise InputError("importance of trials takes their epochs and study (in Python: results.facts.study) too")
    check_trials(trials, study.metric, what="importance")
    read = ("trial_id", "epoch", study.metric)
    check_columns(epochs, read, what="importance", source="epochs, as analysis.load gives them")
    on_the_way = scores_on_the_way(trials, epochs, study.metric)
    return importance_of_arms(searched_arms(trials, on_the_way, study), on_the_way, study, seed=seed)


def importance_of_arms(arms: pd.DataFrame, on_the_way: pd.DataFrame, study: StudyRow, *, seed: int = 0) -> pd.DataFrame:
    """Return the table of `importance`, computed from those of `searched_arms` and `scores_on_the_way`."""
    ended = arms["status"].value_counts()
    judged = some_arms(arms[arms["status"].isin(JUDGED)], seed).reset_index(drop=True)
    is_set = {name: judged[f"param.{name}"].notna() for name in study.factors if f"param.{name}" in judged}
    factors = [name for name, in_arm in is_set.items() if in_arm.any()]
    everywhere = [name for name in factors if is_set[name].all()]
    scores, after_epoch = comparable_scores(judged, on_the_way)
    counts = {f"n_{status}": int(ended.get(status, 0)) for status in (Status.COMPLETE, Status.PRUNED, Status.FAILED)}
    by_ped_anova = _shares(len(judged), factors, factors, partial(_ped_anova, judged, study), seed)
    by_forest = partial(_fanova, judged, study, scores, seed)
    by_fanova = _shares(len(judged), factors, everywhere, by_forest, seed, with_rest=True)
    tables = [by_ped_anova.assign(method="ped-anova"), by_fanova.assign(method="fanova", after_epoch=after_epoch)]
    found = pd.concat(tables, ignore_index=True).assign(confidence=CONFIDENCE, metric=study.metric, **counts)
    return typed(found, COLUMNS)


def importance_text(found: pd.DataFrame) -> str:
    """Return sentences on how importances were computed, for a table or a figure; at least one importance is known."""
    known = found.dropna(subset="importance")
    counts, methods = known.iloc[0], set(known["method"])
    pruned, after_epoch = counts["n_pruned"], known["after_epoch"].max()
    failed = f"{counted(counts['n_failed'], 'failed one')} {'is' if counts['n_failed'] == 1 else 'are'} left out"
    num_arms = counts["n_complete"] + pruned
    sentences = [
        f"How much each factor mattered for the search score, from n = {num_arms} arms ({pruned} of them pruned; "
        f"{failed}).{drawn_text(num_arms)}",
        *(text for method, text in MEANINGS.items() if method in methods),
        f"95% intervals: percentiles of {NUM_RESAMPLES} bootstrap samples of the arms, fewer where some tell nothing"
        f"{FEWER_TREES if 'fanova' in methods else ''}.",
        "A share cannot be negative, so that a factor without influence, too, has an interval above 0: a factor whose "
        f"share is below the shadow, the 95% point of the largest share of any factor whose levels are shuffled among "
        f"the arms ({NUM_SHUFFLES} times), is not told from one without influence.",
    ]
    if pruned and "ped-anova" in methods:
        sentences.append("PED-ANOVA counts a pruned arm as tried, and as not among the best.")
    if not np.isnan(after_epoch):
        sentences.append(
            f"fANOVA compares all arms after {after_epoch:.0f} scored epochs, the most that all of them have done."
        )
    return " ".join(sentences)


def some_arms(arms: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return at most `MAX_ARMS` arms, in their order."""
    if len(arms) <= MAX_ARMS:
        return arms
    drawn = np.random.default_rng(seed).choice(len(arms), MAX_ARMS, replace=False)
    return arms.iloc[np.sort(drawn)]


def drawn_text(num_arms: int) -> str:
    """Return a sentence that only some of so many arms are judged, after a blank; nothing where all are."""
    return f" Judged by {MAX_ARMS} of the arms, drawn at random." if num_arms > MAX_ARMS else ""


def _shares(
    num_arms: int,
    factors: list[str],
    can_be_judged: list[str],
    method: Callable[[list[str]], Evaluate],
    seed: int,
    *,
    with_rest: bool = False,
) -> pd.DataFrame:
    """Return the share of each factor with its interval, most important first; last, if wanted, the interactions'."""
    figures = ["importance", "low", "high", "first", "shadow"]
    found = pd.DataFrame(np.nan, index=pd.Index(factors, name="factor"), columns=figures)
    found["reason"] = "not every arm has this factor"
    try:
        _require_enough(num_arms, can_be_judged)
        evaluate = method(can_be_judged)
        shares, resampled, reason = _bootstrapped(evaluate, num_arms, seed)
        found.loc[can_be_judged, "shadow"] = _shadow(evaluate, num_arms, seed)
        found.loc[can_be_judged, figures[:3]] = _with_interval(shares, resampled)
        found.loc[can_be_judged, "first"] = (resampled == resampled.max(axis=1, keepdims=True)).mean(axis=0)
    except _UnknownError as error:
        reason = str(error)
    found.loc[can_be_judged, "reason"] = reason
    found = found.reset_index().sort_values(["importance", "factor"], ascending=[False, True])
    if with_rest and len(can_be_judged) > 1 and found["importance"].notna().any():
        # A name that no factor has: a path of a study has no blank in it, but a foreign name may be anything.
        name = INTERACTIONS if INTERACTIONS not in factors else f"{INTERACTIONS} of the factors"
        rest = _with_interval(*(1.0 - part.sum(axis=-1, keepdims=True) for part in (shares, resampled)))
        row = dict(zip(["factor", *figures, "reason"], [name, *rest.clip(0.0)[0], np.nan, np.nan, ""], strict=True))
        found = pd.concat([found, pd.DataFrame([row])])
    return found.reset_index(drop=True)


def _with_interval(shares: Floats, resampled: Floats) -> Floats:
    """Return share, low and high (factors, 3) of shares (factors,) and their resamples (resamples, factors)."""
    ends = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return np.column_stack([shares, *ends])


def _require_enough(num_arms: int, factors: list[str]) -> None:
    if num_arms < MIN_ARMS:
        raise _UnknownError(f"{num_arms} complete or pruned arms; at least {MIN_ARMS} are needed")
    if not factors:
        raise _UnknownError("no factor is one of every arm")


def _bootstrapped(evaluate: Evaluate, num_arms: int, seed: int) -> tuple[Floats, Floats, str]:
    """Return shares (factors,), those of the resamples if defined (resamples, factors), and warnings as one text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shares = evaluate(np.arange(num_arms), NUM_TREES, None)
    resampled = resampled_arms(lambda arms: evaluate(arms, NUM_TREES_OF_A_RESAMPLE, None), num_arms, seed)
    resampled = resampled[~np.isnan(resampled).any(axis=1)]
    if np.isnan(shares).any() or not len(resampled):
        raise _UnknownError("no factor sets any arms apart")
    return shares, resampled, "; ".join(str(warning.message) for warning in caught)


def resampled_arms(evaluate: Callable[[Arms], Floats], num_arms: int, seed: int) -> Floats:
    """Return what ``evaluate`` returns for each bootstrap sample of the arms, (resamples, numbers)."""
    draws = np.random.default_rng(seed).integers(num_arms, size=(NUM_RESAMPLES, num_arms))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the whole sample are recorded
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # trees grow in compiled code
            return np.array([*threads.map(evaluate, draws)])


def _shadow(evaluate: Evaluate, num_arms: int, seed: int) -> float:
    """Return the 95% point of the largest share of a shadow, over shuffles."""
    draws, every = np.random.default_rng((seed, 1)), np.arange(num_arms)
    shuffled = [draws.permutation(num_arms) for _ in range(NUM_SHUFFLES)]
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        warnings.simplefilter("ignore")
        found = np.array([*threads.map(lambda arms: evaluate(every, NUM_TREES_OF_A_RESAMPLE, arms), shuffled)])
    return float(np.quantile(found.max(axis=1), CONFIDENCE))


def _ped_anova(judged: pd.DataFrame, study: StudyRow, factors: list[str]) -> Evaluate:
    """Return PED-ANOVA's evaluator of these arms and factors."""
    is_complete = (judged["status"] == Status.COMPLETE).to_numpy()
    num_best = math.ceil(BEST * len(judged))
    if is_complete.sum() < num_best:
        raise _UnknownError(f"{is_complete.sum()} of {len(judged)} arms are complete: the best tenth is not known")
    losses = judged["score"].to_numpy(np.float64) * (-1.0 if study.maximise else 1.0)
    losses[~is_complete] = np.nextafter(losses[is_complete].max(), np.inf)  # just above, however large it is
    if not _has_best(losses):
        raise _UnknownError("the best tenth of the arms is no better than the worst arm")
    try:
        from analysis.searches.ped_anova import Tried, ped_anova
    except ImportError:
        raise _UnknownError("PED-ANOVA needs Optuna") from None
    domains = {name: _domain(judged[f"param.{name}"].dropna(), name in study.log_factors) for name in factors}
    tried = []
    levels = [judged[f"param.{name}"].tolist() for name in factors]
    for loss, *of_arm in zip(losses.tolist(), *levels, strict=True):
        params = {name: level for name, level in zip(factors, of_arm, strict=True) if not pd.isna(level)}
        tried.append(Tried(params, {name: domains[name] for name in params}, loss))
    shadows = [f"\0{name}" for name in factors]

    def with_shadow(arm: Tried, other: Tried) -> Tried:
        params, of_shadow = ({f"\0{name}": value for name, value in part.items()} for part in other[:2])
        return Tried(arm.params | params, arm.domains | of_shadow, arm.loss)

    def evaluate(arms: Arms, _: int, shuffled: Arms | None) -> Floats:
        nothing = np.full(len(factors), np.nan)
        if not _has_best(losses[arms]):
            return nothing  # Optuna would say that all factors matter alike
        chosen = [tried[arm] for arm in arms]
        if shuffled is not None:
            chosen = [with_shadow(arm, tried[other]) for arm, other in zip(chosen, shuffled, strict=True)]
        by_factor = ped_anova(chosen, BEST)
        # A conditional factor that none of these arms has cannot have set any apart.
        shares = np.array([by_factor.get(name, 0.0) for name in factors])
        if shuffled is None:
            return shares if shares.any() else nothing
        of_shadows = np.array([by_factor.get(name, 0.0) for name in shadows])
        of_shadows /= np.maximum(shares.sum() + of_shadows, np.finfo(float).tiny)
        return of_shadows

    return evaluate


def _has_best(losses: Floats) -> bool:
    """Return whether the best tenth of these arms is better than the worst arm; only then is it known."""
    return bool(np.sort(losses)[math.ceil(BEST * len(losses)) - 1] < losses.max())


def _fanova(judged: pd.DataFrame, study: StudyRow, scores: Floats, seed: int, factors: list[str]) -> Evaluate:
    """Return fANOVA's evaluator of these arms and factors; each arm has a score."""
    if not np.isfinite(scores).all():
        raise _UnknownError("there is no epoch that all arms have done")
    if np.ptp(scores) == 0:
        raise _UnknownError("all arms have the same score")
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise _UnknownError("fANOVA needs scikit-learn") from None
    encoded = [as_numbers(judged[f"param.{name}"], is_log=name in study.log_factors) for name in factors]
    levels = np.column_stack([column for column, _ in encoded])
    domains = [domain for _, domain in encoded]

    def evaluate(arms: Arms, num_trees: int, shuffled: Arms | None) -> Floats:
        if shuffled is None:
            return fanova(levels[arms], scores[arms], domains, num_trees=num_trees, seed=seed)
        joined = np.hstack([levels[arms], levels[shuffled]])
        return fanova(joined, scores[arms], domains * 2, num_trees=num_trees, seed=seed)[len(factors) :]

    return evaluate


def _domain(levels: "pd.Series[Any]", is_log: bool) -> "optuna.distributions.BaseDistribution":
    """Return the range or the choices that were tried, as a distribution of Optuna."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    tried = sorted(set(levels.tolist()), key=None if is_numeric(levels) else str)  # also "sqrt" and 0.5
    if not is_numeric(levels):
        return CategoricalDistribution(tried)
    of_kind = IntDistribution if isinstance(tried[0], int) else FloatDistribution
    return of_kind(tried[0], tried[-1], log=is_log)
