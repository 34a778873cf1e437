"""The mean effect of each arm over several contexts, each context counted once; and the arms' names over contexts.

The deciding test is Student's over contexts, on effects in units of each context's noise: so a context whose scores
vary ten times as much does not have ten times the weight. Holm's method adjusts p over the arms, each of which is
compared with the baseline alone.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.any_table import complete, reported
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING, grouped_estimates
from analysis.statistics.paired import OVER_CLUSTERS, TEST, WELCH, direction
from analysis.wording import comparison_names
from cktf.rows import Alternative
from cktf.verdicts import decide, holm

COLUMNS = columns(
    """
    arm metric n_contexts n_missing n_above effect sd low high confidence p p_holm n_in_noise effect_in_noise
    low_in_noise high_in_noise p_in_noise p_in_noise_holm verdict reason
    """
)

FEWEST_CONTEXTS = 4
"""Fewest contexts for a verdict over contexts; with fewer, there are only those of each context."""


def shared_names(arms: pd.DataFrame) -> "pd.Series[str]":
    """Return arm id -> name of the arm over contexts; the baselines of all contexts have one name.

    Results that are read together may name their baselines differently, and may have an arm with the name of another
    context's baseline. That arm keeps its name, and the baselines get another.
    """
    once = arms.drop_duplicates("arm_id").set_index("arm_id")
    is_baseline = once["is_baseline"].astype(bool)
    name = " / ".join(dict.fromkeys(once.loc[is_baseline, "arm"]))
    while name in set(once.loc[~is_baseline, "arm"]):
        name += " (baseline)"
    return once["arm"].mask(is_baseline, name)


def rounding(effects: pd.DataFrame) -> "pd.Series[float]":
    """Return by how much each effect may be off by rounding, from the size of the values it comes from."""
    values = effects.reindex(columns=["mean", "baseline_mean", "effect"])
    return RELATIVE_ROUNDING * values.abs().max(axis="columns")


def noise_of_contexts(trials: pd.DataFrame, *, metric: str) -> dict[str, float]:
    """Return the noise of each context: the residual standard deviation of its scores, given arm and seed.

    The least squares fit has a mean for every arm and a shift for every seed. The noise is NaN if no degrees of freedom
    are left (one seed, or one arm), or if all residuals are rounding errors.
    """
    found = {}
    for context, scores in complete(reported(trials), metric).groupby("context", sort=False):
        values = scores[metric].to_numpy(np.float64)
        design = pd.get_dummies(scores[["arm_id", "seed"]].astype(str), dtype=np.float64).to_numpy()
        # Scores are scaled and centred, so that no square overflows and rounding errors are only those of residuals.
        around = values / max(np.abs(values).max(), np.finfo(float).tiny)
        fit, _, rank, _ = np.linalg.lstsq(design, around - around.mean(), rcond=None)
        residuals = around - around.mean() - design @ fit
        freedom = len(values) - rank
        varies = freedom > 0 and np.abs(residuals).max() > RELATIVE_ROUNDING
        spread = np.sqrt((residuals**2).sum() / freedom) if varies else np.nan
        found[str(context)] = float(spread * np.abs(values).max())
    return found


def over_contexts(effects: pd.DataFrame, noise: Mapping[str, float] | None = None, *, maximise: bool) -> pd.DataFrame:
    """Return the mean effect of every arm or contrast over its contexts, taken as a sample of possible contexts.

    Intervals are Student's over contexts, so they include the variation between contexts as well as the seeds' noise.

    Returns:
        One row for each arm that stands in two contexts or more; the page on tables says what each column means. Equal
        effects have neither interval nor p. Columns that end in ``_in_noise`` are of effects divided by their context's
        noise, if that is known, and their p tests the alternative and margin of the effects. From `FEWEST_CONTEXTS`
        contexts on, ``p_in_noise_holm`` gives the ``verdict``. In a race, or if seeds were added, there is no p (7% of
        simulated races of 5 arms without effect in 4 contexts would err).
    """
    effects = effects.assign(arm=comparison_names(effects))
    by_arm = effects.groupby("arm", sort=False)
    shared = effects[by_arm["context"].transform("nunique") > 1].assign(rounding=rounding)
    if shared.empty:
        return typed([], COLUMNS)
    frame = _student(shared, "effect", shared["rounding"]).rename(columns={"n": "n_contexts", "mean": "effect"})
    by_arm = shared.groupby("arm", sort=False)
    frame["metric"] = shared["metric"].iloc[0]
    frame["n_missing"] = by_arm["context"].nunique().to_numpy() - frame["n_contexts"].to_numpy()
    frame["n_above"] = (shared["effect"] > shared["rounding"]).groupby(shared["arm"], sort=False).sum().to_numpy()
    frame["confidence"] = CONFIDENCE
    is_fixed = "test" not in shared or bool(
        shared["test"].str.removesuffix(OVER_CLUSTERS).isin([TEST, WELCH, "none"]).all()
    )
    p = 2 * stats.t.sf(np.abs(frame["statistic"]), frame["df"])
    frame["p"] = np.where(is_fixed, p, np.nan)
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))

    unit = shared["context"].map(noise or {}).astype(np.float64)
    has_question = "alternative" in shared
    alternative = str(shared["alternative"].iloc[0]) if has_question else Alternative.TWO_SIDED
    margin = float(shared["margin"].iloc[0]) if has_question else 0.0
    sign = direction(alternative, maximise=maximise)
    in_noise = shared.assign(size=shared["effect"] / unit, tested=(shared["effect"] - sign * margin) / unit)
    sized, tested = (_student(in_noise, name, shared["rounding"] / unit) for name in ("size", "tested"))
    frame["n_in_noise"], frame["effect_in_noise"] = sized["n"], sized["mean"]
    frame["low_in_noise"], frame["high_in_noise"] = sized["low"], sized["high"]
    is_enough = sized["n"] >= FEWEST_CONTEXTS
    beyond = sign * tested["statistic"] if sign else np.abs(tested["statistic"])
    p = (1 if sign else 2) * stats.t.sf(beyond, tested["df"])
    frame["p_in_noise"] = np.where(is_enough & is_fixed, p, np.nan)
    adjusted = holm(frame["p_in_noise"].to_numpy(np.float64))
    frame["p_in_noise_holm"] = adjusted
    none = np.full(len(frame), np.nan)
    frame["verdict"] = decide(
        sized["mean"].to_numpy(), adjusted, none, maximise=maximise, alternative=alternative, margin=margin
    )
    frame["reason"] = np.select(
        [not is_fixed, ~is_enough, np.isnan(p)],
        [
            "the numbers of seeds depend on results, which no test over contexts accounts for",
            f"fewer than {FEWEST_CONTEXTS} contexts whose noise is known: each speaks for itself",
            "its effects are equal: no error to test against",
        ],
        "",
    )
    return typed(frame, COLUMNS)


def _student(frame: pd.DataFrame, column: str, rounding: "pd.Series[float]") -> pd.DataFrame:
    """Return estimates of each arm with Student's ``statistic`` and ``df``; NaN if values differ by rounding alone."""
    found = grouped_estimates(frame, ["arm"], column)
    by_arm = frame[column].groupby(frame["arm"], sort=False)
    # As of seeds (see `analysis.statistics.paired`): effects that do not vary hold no information on their own error.
    varies = (by_arm.max() - by_arm.min() > rounding.groupby(frame["arm"], sort=False).max()).to_numpy()
    found.loc[~varies, ["low", "high"]] = np.nan
    n = np.where(found["n"] > 1, found["n"], np.nan)
    error = np.where(varies, found["sd"], np.nan) / np.sqrt(n)
    return found.assign(statistic=found["mean"].to_numpy() / error, df=n - 1)
