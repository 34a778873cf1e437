"""The effect of each arm for teachers beyond those of its study, where teachers are crossed with seeds."""

import numpy as np
import pandas as pd

from analysis.statistics.any_table import complete, of_fixed_arms
from analysis.statistics.columns import columns, typed
from analysis.statistics.compared_arms import compared_arms
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.intervals import CONFIDENCE
from cktf.verdicts import holm

COLUMNS = columns("context arm_id arm metric n_seeds n_teachers effect low high confidence p p_holm")

TEACHER_SEED = "config.teacher.seed"


def are_crossed(trials: pd.DataFrame) -> bool:
    """Return whether arms of designs, or confirmed ones, have trials with several teachers at a seed."""
    return TEACHER_SEED in trials and bool(of_fixed_arms(trials).duplicated(["arm_id", "seed"]).any())


def taught(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of arms that have several teachers at a seed; all trials where teachers are not crossed.

    An arm that reads no teacher has one in its settings all the same, which is never trained.
    """
    if not are_crossed(trials):
        return trials
    return trials[trials["arm_id"].isin(trials.loc[trials.duplicated(["arm_id", "seed"]), "arm_id"])]


def over_teachers(trials: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return the effect of every arm for a population of seeds and of teachers, both drawn at random.

    A trial is paired with the baseline's trial of the same seed and teacher seed; on a side without several teachers,
    one trial stands for all of them. Seeds at which a trial is missing are left out.

    Returns:
        One row for each context and arm: ``n_seeds`` and ``n_teachers``, ``effect`` (mean over both), the interval and
        ``p`` of `analysis.statistics.crossed.crossed_mean`, and ``p_holm``, adjusted over all rows. No row where
        teachers are not crossed with seeds.
    """
    if not are_crossed(trials):
        return typed([], COLUMNS)
    pool = of_fixed_arms(trials)
    # A teacher whose students of an arm have all failed stays one of the arm's teachers.
    pool = pool.assign(**{metric: pool[metric].where(pool.index.isin(complete(pool, metric).index))})
    scores = {
        str(arm_id): of_arm.fillna({TEACHER_SEED: -1}).pivot(index="seed", columns=TEACHER_SEED, values=metric)
        for arm_id, of_arm in pool.groupby("arm_id", sort=False, observed=True)
    }
    rows = []
    _, compared, against = compared_arms(pool)
    for (arm_id, arm), baseline_id in zip(compared.iterrows(), against, strict=True):
        both = [scores[str(each)] for each in (arm_id, baseline_id)]
        teachers = max((list(side) for side in both), key=len)
        each_alike = [pd.DataFrame(dict.fromkeys(teachers, side.mean(axis="columns"))) for side in both]
        arm_side, baseline_side = (
            side if side.shape[1] > 1 else alike for side, alike in zip(both, each_alike, strict=True)
        )
        found = (arm_side - baseline_side).dropna()
        row = {"context": arm["context"], "arm_id": arm_id, "arm": arm["arm"], "metric": metric}
        row |= {"confidence": CONFIDENCE, "n_seeds": len(found), "n_teachers": found.shape[1]}
        if found.size:
            mean = crossed_mean(found.to_numpy(np.float64))
            row |= {"effect": mean.mean, "low": mean.low, "high": mean.high, "p": mean.p}
        rows.append(row)
    frame = typed(rows, COLUMNS)
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))
    return frame
