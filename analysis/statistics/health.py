"""Measures of the distillation's health, as measured last: differences from the baseline at the same seeds."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics.any_table import complete, of_fixed_arms, reported
from analysis.statistics.columns import columns, typed
from analysis.statistics.compared_arms import compared_arms
from analysis.statistics.intervals import half_width
from analysis.statistics.paired import paired_effects
from cktf.verdicts import LEVEL, holm

PREFIX = "health."
"""Prefix of the columns of epochs with measures of the distillation's health."""

WORDS = {
    "agreement": "agreement (%)",
    "kl": "KL (nats)",
    "cka": "CKA",
    "positive": "score of positives",
    "negative": "score of negatives",
    "gap": "gap of scores",
    "temperature": "effective temperature",
    "gradient": "gradient norm",
}
"""First word of a measure's name -> its label; the rest of the name is a layer or a bank."""

BOUNDS = {"agreement": (0, 100), "kl": (0, None), "cka": (0, 1), "gradient": (0, None)}
"""First word of a measure's name -> its smallest and largest possible value; None: unbounded."""

COLUMNS = columns(
    """
    context arm_id arm measure n_pairs mean baseline_mean effect sd low high hedges_gz statistic p p_holm
    """
)


def numbers_of(epochs: pd.DataFrame) -> list[str]:
    """Return the names of the columns of epochs with measures of health."""
    return [name for name in epochs.columns if name.startswith(PREFIX)]


def number_label(column: str) -> str:
    """Return the label of a measure's column: ``health.cka.stage1`` is ``CKA: stage1``."""
    first, _, rest = column.removeprefix(PREFIX).partition(".")
    return ": ".join(part for part in (WORDS.get(first, first), rest) if part)


def measured(trials: pd.DataFrame, epochs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the epochs in which the health of complete trials was measured, those of a search's own stage left out.

    A trial without the metric does not count.
    """
    chosen = complete(of_fixed_arms(trials), metric)["trial_id"]
    is_measured = epochs[numbers_of(epochs)].notna().any(axis="columns")
    return epochs[is_measured & epochs["trial_id"].isin(chosen)]


def health_effects(trials: pd.DataFrame, epochs: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return by how much each measure of each arm differs from its context's baseline, paired by seed.

    A trial counts with the last epoch in which anything was measured, and only if it has the metric. If teachers are
    crossed with seeds, a measure of an arm at a seed is the mean over all of its teachers, as its scores are.

    Returns:
        One row for each arm and ``measure`` (the column without its prefix) that both sides have, with fields of
        `analysis.statistics.paired.PairedEffects`, and ``p_holm``, adjusted over all rows.
    """
    last = measured(trials, epochs, metric).sort_values("epoch").drop_duplicates("trial_id", keep="last")
    of_trial = last.astype({"trial_id": "str"}).set_index("trial_id")[numbers_of(epochs)]
    pool = reported(trials.join(of_trial, on="trial_id"))
    arms, compared, against = compared_arms(pool)
    scored = complete(pool, metric)
    frames = []
    for column in numbers_of(epochs):
        values = scored.pivot(index="seed", columns="arm_id", values=column).reindex(columns=arms.index)
        arm, baseline = (values[ids].to_numpy(np.float64).T for ids in (compared.index, against))
        found = paired_effects(arm, baseline)
        frame = pd.DataFrame({name: getattr(found, name) for name in COLUMNS if hasattr(found, name)})
        frame["context"], frame["arm"] = compared["context"].to_numpy(), compared["arm"].to_numpy()
        frame["arm_id"], frame["measure"] = compared.index.to_numpy(), column.removeprefix(PREFIX)
        frames.append(frame[frame["n_pairs"] > 0])
    if not frames:
        return typed([], COLUMNS)
    table = pd.concat(frames, ignore_index=True)
    table["p_holm"] = holm(table["p"].to_numpy(np.float64))
    order = {arm_id: position for position, arm_id in enumerate(compared.index)}
    table = table.sort_values("arm_id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)
    return typed(table, COLUMNS)


def selected_confidence(shown: Any, candidates: Any) -> Any:
    r"""Return the confidence of the intervals of the measures that are shown because they moved most.

    Intervals of selected measures miss more often than nominal. At confidence :math:`1 - 0.05 \, R / K`, 5% of the
    shown intervals miss on average (the false-coverage rate; Benjamini and Yekutieli 2005, definition 1). R measures
    are ``shown``, selected from K ``candidates``: those of one arm in a table, of one figure in a figure.
    """
    return 1 - LEVEL * shown / candidates


def moved_most(health: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return for each arm the measures that differ most from the baseline's, by the size of t, largest first.

    Measures without a t (one pair, or differences that do not vary) are left out, and all but one of equal measures.

    Returns:
        Rows of the table with their ``confidence`` and intervals corrected for the selection among the arm's measures;
        see `selected_confidence`.
    """
    tested = health[health["statistic"].notna()]
    # Where the penultimate vector is the mean of the last stage, as in a ResNet, they are one measure under two names.
    tested = tested.drop_duplicates(["arm_id", "n_pairs", "effect", "statistic"], keep="last")
    order = tested["statistic"].abs().sort_values(ascending=False, kind="stable").index
    ranked = tested.loc[order].groupby("arm_id", sort=False).head(most)
    shown, candidates = (
        ranked["arm_id"].map(frame["arm_id"].value_counts()).astype("float64") for frame in (ranked, tested)
    )
    ranked = ranked.assign(confidence=selected_confidence(shown, candidates))
    for _, group in ranked.groupby("arm_id"):
        half = half_width(group["sd"].to_numpy(), group["n_pairs"].to_numpy(), group["confidence"].iloc[0])
        ranked.loc[group.index, "low"] = group["effect"] - half
        ranked.loc[group.index, "high"] = group["effect"] + half
    arms = {arm_id: position for position, arm_id in enumerate(dict.fromkeys(health["arm_id"]))}
    return ranked.sort_values("arm_id", key=lambda ids: ids.map(arms), kind="stable", ignore_index=True)
