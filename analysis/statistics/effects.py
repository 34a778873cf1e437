"""The effect of each arm against its context's baseline, or another arm, paired by seed, and the verdict on it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from analysis.arguments import check_delta, check_design, check_question, check_race
from analysis.statistics import anytime
from analysis.statistics.any_table import complete, of_fixed_arms, reported, trials_of
from analysis.statistics.anytime import anytime_p, anytime_width
from analysis.statistics.arms import failed_text, has_failed
from analysis.statistics.clusters import FEWEST_CLUSTERS, in_clusters
from analysis.statistics.columns import columns, typed
from analysis.statistics.compared_arms import Contrasts, compared_arms, differing_factors, names_of
from analysis.statistics.intervals import CONFIDENCE, half_width
from analysis.statistics.over_images import ACCURACY, over_images
from analysis.statistics.paired import (
    FEWEST_UNPAIRED,
    OVER_CLUSTERS,
    TEST,
    WELCH,
    PairedEffects,
    correlation_interval,
    direction,
    equivalence_p,
    one_sided_p,
    paired_effects,
    sign_flip_p,
    variance_left,
)
from analysis.statistics.unpaired import welch_effects
from analysis.statistics.verdicts import ASSURANCE, mde, more_seeds
from analysis.wording import larger_is_better
from cktf.looks import Counts, Floats, Race, Spending
from cktf.names import BASELINE
from cktf.rows import Alternative, Family, Status
from cktf.verdicts import LEVEL, Verdict, adjusted, decide, holm

COLUMNS = columns(
    """
    context arm_id arm against_id against against_baseline factor metric alternative margin verdict detectable
    more_seeds_low more_seeds n_pairs n_missing n_lost_by_arm n_lost_by_baseline missing mean baseline_mean effect
    sd low high low_simultaneous high_simultaneous confidence hedges_gz correlation correlation_low correlation_high
    n_unpaired test n_looks statistic p n_family p_holm p_anytime p_anytime_holm delta p_equivalence p_equivalence_holm
    p_flip p_flip_holm p_flip_holm_least reason low_images high_images variance_left variance_left_low
    variance_left_high p_both p_equivalence_both size n_arm n_baseline df
    """
)

BEYOND, MAY_BE_LESS = "by more than delta", "may be less than delta"
"""Remarks on the size of an effect that helps or hurts, by its simultaneous interval."""

ABOVE_0, BELOW_0 = "and above 0", "and below 0"
"""Remarks on an equivalent effect that also differs significantly from 0."""

Width = Callable[[Floats, Counts, Counts, float], Floats]
"""Function (standard deviations, pairs, looks, level) -> half the width of the intervals of effects."""

RACE_TEST = "sequential paired t"

ENDED = [Status.COMPLETE, Status.PRUNED, Status.FAILED]
"""Statuses after which no result is to come."""


def effects(
    trials: pd.DataFrame,
    *,
    metric: str = "test_accuracy",
    maximise: bool | None = None,
    delta: float | None = None,
    baseline: str | None = None,
    contrasts: Contrasts = (),
    family: str = Family.STUDY,
    alternative: str = Alternative.TWO_SIDED,
    margin: float = 0.0,
    looks: Sequence[int] = (),
    spending: str = Spending.POWER2,
    is_extended: bool = False,
    unpaired: bool = False,
    cluster: str | None = None,
) -> pd.DataFrame:
    """Return the effect of every arm of a design, or every confirmed arm of a search, against another.

    Without ``contrasts``, the other is the baseline. An arm is compared within its own context, the only one in
    which its id occurs.

    Any table will do that has a row for each arm and seed:

    >>> import pandas as pd
    >>> scores = {"none": [0.90, 0.88, 0.91], "kd": [0.93, 0.92, 0.94], "at": [0.91, 0.87, 0.92]}
    >>> rows = [(arm, seed, score) for arm in scores for seed, score in enumerate(scores[arm])]
    >>> frame = pd.DataFrame(rows, columns=["arm", "seed", "accuracy"])
    >>> found = effects(frame, metric="accuracy", baseline="none")
    >>> print(found[["arm", "n_pairs", "effect", "p_holm", "verdict"]].round(3).to_string(index=False))
    arm  n_pairs  effect  p_holm   verdict
     kd        3   0.033   0.020     helps
     at        3   0.003   0.667 undecided

    Args:
        trials: As `analysis.load` gives them; those of a search's own stage are left out, since they were
            selected. Or a plain table of any origin, which lacks some of the columns of trials and has ``arm``,
            ``seed`` and the metric, and ``context`` where there are several; see
            `analysis.statistics.any_table.as_trials`.
        metric: Column that is compared.
        maximise: Whether a larger metric is better; None: it is, and a name that suggests a loss is refused.
        delta: The smallest effect that matters, in the unit of the metric; None: no arm can be called equivalent.
        baseline: Name of the arm that the others of its context are compared with. None: in trials the baseline of
            the study, in a plain table the arm that is called ``baseline``. Where trials are compared with another arm,
            the study's baseline is an arm like others.
        contrasts: Pairs of names: the first arm is compared with the second, in each context that has both. The entry
            ``"baseline"`` stands for every arm against the baseline, which is all that is compared without contrasts.
        family: `cktf.rows.Family`, over which p is adjusted.
        alternative: `cktf.rows.Alternative`. A one-sided test has intervals of 90%; one end belongs to the test.
        margin: Margin of a one-sided alternative. Above 0, the test is whether an arm is better (or worse) by more than
            this; below 0, whether it is not worse (not better) by so much or more.
        looks: Numbers of seeds, in planned order, after which a race is judged. A comparison has the results of its
            last look: a sequential p and repeated confidence intervals.
        spending: Spending function of a race (`cktf.looks.Spending`).
        is_extended: Whether the number of seeds may depend on results in a way that was not planned: then the test
            that is valid at any number of pairs decides and gives the intervals.
        unpaired: Whether trials of the same seed have nothing in common: Welch's test replaces the paired one. Two
            arms that share no seed are compared by it in any case.
        cluster: Column of folds, data seeds and the like; ``context`` if each cluster is a context, whose arms of the
            same name then are one arm. A cluster is a replicate: everything below on seeds holds for clusters, each
            with the mean over its seeds (see `analysis.statistics.clusters.in_clusters`).

    Returns:
        One row for each context and comparison, contexts in the order of planning, in them contrasts as they are
        listed, else arms of one factor together; the page on tables says what each column means. An arm that failed at
        each of its seeds still counts in its family. Columns that end in ``_holm`` are adjusted over the family, those
        in ``_both`` over the tests of difference and equivalence as well. Where ``test`` is ``none``, there is a
        ``reason``. Welch's test has no pairs, but ``n_arm`` and ``n_baseline`` values.

    Raises:
        InputError: If a table lacks a column, an arm of a contrast or a context the baseline, the metric does not hold
            numbers, the direction is neither true nor false or is not known, delta is not above 0, contrasts,
            alternative, margin and delta do not fit together, there are fewer than four clusters, or a race or a study
            with added seeds is to be unpaired or in clusters.
    """
    check_delta(delta)
    check_question(contrasts, family, alternative, margin, delta)
    check_race(looks, spending)
    check_design(unpaired, cluster, has_looks=bool(looks) or is_extended)
    maximise = larger_is_better(metric, maximise)
    needs_baseline = not contrasts or [BASELINE] in [names_of(contrast) for contrast in contrasts]
    trials = trials_of(
        trials, metric=metric, what="effects", baseline=baseline, needs_baseline=needs_baseline, cluster=cluster
    )
    pool = reported(trials) if cluster is None else in_clusters(trials, cluster)
    arms, compared, against = compared_arms(pool, contrasts)
    statuses = pool.pivot(index="seed", columns="arm_id", values="status")
    scores = (
        complete(pool, metric)
        .pivot(index="seed", columns="arm_id", values=metric)
        .reindex(index=statuses.index, columns=arms.index)
    )
    values, base_values = (scores[ids].to_numpy(np.float64).T for ids in (compared.index, against))
    sign = direction(alternative, maximise=maximise)
    confidence = 1 - 2 * LEVEL if sign else CONFIDENCE
    # Runs that are read together as contexts may have other seeds, or the same ones in another order.
    number = pool["number"] if "number" in pool else statuses.index.get_indexer(pd.Index(pool["seed"]))
    first = pool.assign(number=number).groupby(["context", "seed"], observed=True)["number"].min().unstack("context")
    as_run = np.argsort(first.reindex(statuses.index)[compared["context"]].to_numpy().T, axis=1, kind="stable")
    race = Race(tuple(looks), spending, sign, margin, delta) if looks else None
    num_looks, is_judged = np.zeros(len(compared), np.int64), np.ones(values.shape, bool)
    if race:
        has_ended = statuses.isin(ENDED)
        is_over = (has_ended[compared.index].to_numpy() & has_ended[against].to_numpy()).T
        num_over = np.logical_and.accumulate(np.take_along_axis(is_over, as_run, 1), axis=1).sum(axis=1)
        num_looks = np.searchsorted(race.looks, num_over, side="right")
        run_values, run_base_values = (np.take_along_axis(side, as_run, 1) for side in (values, base_values))
        judged = race.judged(run_values, run_base_values, num_looks)
        last = np.array([0, *race.looks])[num_looks, np.newaxis]
        np.put_along_axis(is_judged, as_run, np.arange(len(statuses)) < last, 1)
        values = np.where(is_judged, values, np.nan)
    found = paired_effects(values, base_values, confidence)
    is_planned = statuses.notna()
    shares = (is_planned[compared.index].to_numpy(bool) & is_planned[against].to_numpy(bool)).any(axis=0)
    is_unpaired = np.full(len(shares), unpaired) | ~(shares | bool(looks) | is_extended)
    if is_unpaired.any():
        welch = welch_effects(values, base_values, confidence)
        found = PairedEffects(
            **{name: np.where(is_unpaired, getattr(welch, name), column) for name, column in vars(found).items()}
        )
    is_few = np.full(len(shares), cluster is not None) & (np.minimum(found.n_arm, found.n_baseline) < FEWEST_CLUSTERS)
    tested = ("low", "high", "statistic", "p", "standard_error", "df")
    found = replace(found, **{name: np.where(is_few, np.nan, getattr(found, name)) for name in tested})
    called = {arm_id: "the baseline" if arm["is_baseline"] else str(arm["arm"]) for arm_id, arm in arms.iterrows()}
    ends = {str(arm_id): statuses[arm_id].dropna() for arm_id in scores.columns[scores.isna().all()]}
    failed = {arm_id: failed_text(len(of_arm)) for arm_id, of_arm in ends.items() if has_failed(of_arm)}
    rows, pairs = [], []
    for place, (arm_id, baseline_id) in enumerate(zip(compared.index, against, strict=True)):
        both, is_of_look, is_apart = [arm_id, baseline_id], is_judged[place], is_unpaired[place]
        has_both = scores[both].notna().all(axis="columns")
        pairs.append((arm_id, baseline_id, scores.index[has_both & is_of_look & ~is_apart]))
        is_there = (scores[both].notna() | ~is_planned[both]).all(axis="columns") if is_apart else has_both
        states = statuses.loc[~is_there & is_of_look, both].dropna(how="all")
        if is_apart:  # a seed that was planned for one side alone is missing on neither
            states = states.fillna(Status.COMPLETE.value)
        lost = states.isin(ENDED) & scores.loc[states.index, both].isna()
        texts = {arm_id: "", baseline_id: f"{called[baseline_id]} "}
        why = "; ".join(f"{side}{failed[each]}" for each, side in texts.items() if each in failed)
        if looks and not num_looks[place]:
            why = "no look was due yet"
        why = why or _reason(found, place, is_apart=is_apart, is_few=is_few[place])
        rows.append(
            {
                "context": arms.at[arm_id, "context"],
                "arm_id": arm_id,
                "arm": arms.at[arm_id, "arm"],
                "against_id": baseline_id,
                "against": arms.at[baseline_id, "arm"],
                "against_baseline": arms.at[baseline_id, "is_baseline"],
                "alternative": alternative,
                "margin": margin,
                "factor": ", ".join(differing_factors(arms.loc[arm_id], arms.loc[baseline_id])),
                "metric": metric,
                "n_missing": len(states),
                "n_lost_by_arm": int((lost[arm_id] & ~lost[baseline_id]).sum()),
                "n_lost_by_baseline": int((lost[baseline_id] & ~lost[arm_id]).sum()),
                "missing": _missing_text(states, called[baseline_id], "seed" if cluster is None else "cluster"),
                "confidence": confidence,
                "delta": np.nan if delta is None else delta,
                "reason": "" if np.isfinite(found.p[place]) else why,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for field, column in vars(found).items():
        frame[field] = column
    frame["n_looks"] = num_looks
    if sign:  # the test is of the margin, in one direction
        frame["p"] = one_sided_p(found, sign * margin, sign)
        frame["statistic"] = (found.effect - sign * margin) / found.standard_error
    frame["p_equivalence"] = np.nan if delta is None else equivalence_p(found, delta)
    differences = np.take_along_axis(values - base_values, as_run, 1)
    frame["p_anytime"] = anytime_p(differences, sign * margin, sign)
    width: Width | None = None
    frame["test"] = np.where(is_unpaired, WELCH, TEST)
    if cluster is not None:
        frame["test"] += OVER_CLUSTERS
    if race:
        frame["test"], width = RACE_TEST, race.width
        frame["p"], frame["p_equivalence"] = judged.p, judged.p_equivalence
    elif is_extended:
        frame["test"], frame["p"] = anytime.TEST, frame["p_anytime"]
        if delta is not None:
            sides = [anytime_p(differences, -side * delta, side) for side in (1, -1)]
            frame["p_equivalence"] = np.maximum(*sides)

        def width(sd: Floats, n: Counts, _: Counts, level: float) -> Floats:
            return anytime_width(sd, n, level / 2 if sign else level)  # its one-sided p is not half of a two-sided one

    if width:
        half = width(found.sd, found.n_pairs, num_looks, 2 * LEVEL if sign else LEVEL)
        frame["low"], frame["high"] = found.effect - half, found.effect + half
    untested = np.isnan(found.p)
    frame.loc[untested, ["p", "p_equivalence", "p_anytime", "low", "high"]] = np.nan
    frame.loc[untested, "test"] = "none"
    frame.loc[untested | (width is not None), "df"] = np.nan
    frame.loc[is_unpaired, "p_anytime"] = np.nan
    is_flipped = ~untested & ~is_unpaired & (width is None)
    frame["p_flip"] = np.where(is_flipped, sign_flip_p(values - base_values - sign * margin), np.nan)
    frame["p_flip_holm_least"] = np.where(frame["p_flip"].isna(), np.nan, 2.0 ** (1 - found.n_pairs))
    if sign:  # of flips that are symmetric about 0, half are on each side
        is_beyond = sign * found.effect > margin
        frame["p_flip"] = np.where(frame["p_flip"].isna() | is_beyond, frame["p_flip"] / 2, 1.0)
        frame["p_flip_holm_least"] /= 2
    frame["correlation_low"], frame["correlation_high"] = correlation_interval(found.correlation, found.n_pairs)
    frame.loc[found.n_pairs < FEWEST_UNPAIRED, "n_unpaired"] = np.nan
    left = variance_left(values, base_values, ~untested & ~is_unpaired)
    frame["variance_left"], frame["variance_left_low"], frame["variance_left_high"] = left
    if metric == ACCURACY and cluster is None:
        whole = complete(of_fixed_arms(trials), metric)
        # The confidence at which Student's interval would be as wide as the one that accounts for looks.
        half = frame["high"].to_numpy(np.float64) - found.effect
        nominal = np.asarray(1 - 2 * stats.t.sf(half / found.standard_error, found.df))
        frame["low_images"], frame["high_images"] = over_images(whole, pairs, nominal)
    families = [*frame.groupby("context", sort=False).indices.values()] if family == Family.CONTEXT else []
    parts = [_judged(frame.iloc[rows], sign, width, maximise=maximise) for rows in families or [np.arange(len(frame))]]
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[frame["arm_id"].isin(failed), "verdict"] = Verdict.FAILED
    order = ["context"] if contrasts else ["context", "factor"]
    frame = typed(frame, COLUMNS)
    first_seen = pd.DataFrame({name: pd.factorize(frame[name])[0] for name in order}).sort_values(order, kind="stable")
    return frame.loc[first_seen.index].reset_index(drop=True)


def _judged(frame: pd.DataFrame, sign: int, width: Width | None, *, maximise: bool) -> pd.DataFrame:
    """Return the comparisons of one family with what depends on its size: adjusted p, verdicts and intervals."""
    frame = frame.assign(n_family=len(frame), size="")
    for name in ("p", "p_anytime", "p_equivalence", "p_flip"):
        frame[f"{name}_holm"] = holm(frame[name].to_numpy(np.float64))
    frame["p_flip_holm_least"] = holm(frame["p_flip_holm_least"].to_numpy(np.float64))
    if frame.empty:
        return frame
    alternative, margin, delta = frame[["alternative", "margin", "delta"]].iloc[0]
    effect, n = frame["effect"].to_numpy(np.float64), frame[["n_arm", "n_baseline"]].min(axis="columns").to_numpy()
    both = adjusted(frame["p"].to_numpy(np.float64), frame["p_equivalence"].to_numpy(np.float64))
    frame["verdict"] = decide(effect, *both, maximise=maximise, alternative=alternative, margin=margin)
    # The strictest level that Holm's method may ask of an arm: it depends on no result.
    level = LEVEL / len(frame)
    of_interval = level * (2 if sign else 1)
    sd = np.where(frame["p"].isna(), np.nan, frame["sd"])
    # Welch's test has the interval and the power of a paired test with df + 1 pairs and the same standard error.
    is_apart, counted = frame["test"].str.startswith(WELCH).to_numpy(), frame["df"].to_numpy() + 1
    counted, of_pairs = np.where(is_apart, counted, n), np.where(is_apart, frame["standard_error"] * counted**0.5, sd)
    looks = frame["n_looks"].to_numpy()
    half = width(sd, n, looks, of_interval) if width else half_width(of_pairs, counted, 1 - of_interval)
    frame["low_simultaneous"], frame["high_simultaneous"] = effect - half, effect + half
    if not np.isnan(delta):
        frame["p_both"], frame["p_equivalence_both"] = both
        is_beyond = np.where(effect > 0, frame["low_simultaneous"] > delta, frame["high_simultaneous"] < -delta)
        is_decided = frame["verdict"].isin([Verdict.HELPS, Verdict.HURTS])
        is_told = frame["verdict"].eq(Verdict.EQUIVALENT) & (both[0] < LEVEL)
        sizes = np.where(is_beyond, BEYOND, MAY_BE_LESS), np.where(effect > 0, ABOVE_0, BELOW_0)
        frame["size"] = np.select([is_decided, is_told], sizes, "")
    if width:  # power is known only for a fixed number of seeds
        return frame
    size = mde(counted, of_interval, of_pairs)
    frame["detectable"] = sign * (margin + size) if sign else size
    if not np.isnan(delta):
        is_open = frame["verdict"].eq(Verdict.UNDECIDED) & ~frame["test"].str.endswith(OVER_CLUSTERS)
        for column, assurance in (("more_seeds", ASSURANCE), ("more_seeds_low", 1 - ASSURANCE)):
            more = more_seeds(delta, sd, n, level, assurance)
            frame[column] = np.where(is_open, more, np.nan)
    return frame


def _reason(found: PairedEffects, place: int, *, is_apart: bool, is_few: bool) -> str:
    """Return why a comparison has no p."""
    n_pairs, least = int(found.n_pairs[place]), min(int(found.n_arm[place]), int(found.n_baseline[place]))
    if is_few:
        return f"{least} clusters: a test over clusters needs {FEWEST_CLUSTERS}"
    if is_apart:
        return "no value of a side varies: no error to test against" if least > 1 else "a side has one value or none"
    if n_pairs < 2:
        return "one pair: no interval" if n_pairs else "no seed is complete in both arms"
    return f"all {n_pairs} differences are equal: no error to test against"


def _missing_text(states: pd.DataFrame, baseline: str, noun: str) -> str:
    """Return which seeds form no pair and why, from an arm's and the baseline's statuses at these seeds."""
    seeds: dict[str, list[str]] = {}
    for seed, *statuses in states.fillna("not planned").itertuples():
        named = zip(("", f"{baseline.removeprefix('the ')} "), statuses, strict=True)
        wrong = [f"{side}{status}" for side, status in named if status != Status.COMPLETE]
        seeds.setdefault(", ".join(wrong) or "not a finite number", []).append(str(seed))
    return "; ".join(f"{noun}{'s' * (len(which) > 1)} {', '.join(which)}: {why}" for why, which in seeds.items())
