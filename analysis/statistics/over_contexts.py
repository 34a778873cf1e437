"""What an arm does over several contexts: the mean of its effects, each context counted once; and its name there."""

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING, grouped_estimates
from analysis.wording import comparison_names
from cktf.verdicts import holm

COLUMNS = columns(
    """
    arm metric n_contexts n_missing n_above effect sd low high confidence p p_holm
    """
)


def shared_names(arms: pd.DataFrame) -> "pd.Series[str]":
    """Return ``arm_id`` to the name by which the arm is known over contexts: the baselines of all have one.

    Results that are read together may call their baselines differently, and may have an arm that is called as the
    baseline of another context. That arm keeps its name, and the baselines get another.
    """
    once = arms.drop_duplicates("arm_id").set_index("arm_id")
    is_baseline = once["is_baseline"].astype(bool)
    name = " / ".join(dict.fromkeys(once.loc[is_baseline, "arm"]))
    while name in set(once.loc[~is_baseline, "arm"]):
        name += " (baseline)"
    return once["arm"].mask(is_baseline, name)


def rounding(effects: pd.DataFrame) -> "pd.Series[float]":
    """Return how far each effect may be from another by rounding alone, from the size of the values it comes from."""
    values = effects.reindex(columns=["mean", "baseline_mean", "effect"])
    return RELATIVE_ROUNDING * values.abs().max(axis="columns")


def over_contexts(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the mean effect of every arm or contrast over its contexts, taken as a sample of those that it may meet.

    The interval is Student's over contexts, so it holds what differs between them as well as the seeds' noise.

    Args:
        effects: As `analysis.statistics.effects.effects` gives them.

    Returns:
        One row for each arm that stands in two contexts or more, in their order: ``n_contexts`` (with an effect),
        ``n_missing`` (without one), ``n_above`` (with an effect above 0), ``effect`` (mean), ``sd`` and the interval,
        ``p`` (of the one-sample t test, two-sided) and ``p_holm`` (adjusted over all rows). Equal effects have neither
        interval nor p.
    """
    effects = effects.assign(arm=comparison_names(effects))
    by_arm = effects.groupby("arm", sort=False)
    shared = effects[by_arm["context"].transform("nunique") > 1].assign(rounding=rounding)
    if shared.empty:
        return typed([], COLUMNS)
    frame = grouped_estimates(shared, ["arm"], "effect").rename(columns={"n": "n_contexts", "mean": "effect"})
    by_arm = shared.groupby("arm", sort=False)
    frame["metric"] = shared["metric"].iloc[0]
    frame["n_missing"] = by_arm["context"].nunique().to_numpy() - frame["n_contexts"].to_numpy()
    frame["n_above"] = (shared["effect"] > shared["rounding"]).groupby(shared["arm"], sort=False).sum().to_numpy()
    frame["confidence"] = CONFIDENCE
    n = np.where(frame["n_contexts"] > 1, frame["n_contexts"], np.nan)
    # As of seeds (see `analysis.statistics.paired`): effects that do not vary hold no information on their own error.
    spread = by_arm["effect"].max() - by_arm["effect"].min()
    varies = (spread > by_arm["rounding"].max()).to_numpy()
    frame.loc[~varies, ["low", "high"]] = np.nan
    error = np.where(varies, frame["sd"], np.nan) / np.sqrt(n)
    frame["p"] = 2 * stats.t.sf(np.abs(frame["effect"].to_numpy()) / error, n - 1)
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))
    return typed(frame, COLUMNS)
