"""Folds, data seeds and the like as replicates: trials of one cluster share its images, and count as one."""

import pandas as pd

from analysis.arguments import listed
from analysis.statistics.any_table import averaged, of_fixed_arms
from analysis.statistics.over_contexts import shared_names
from cktf.errors import InputError

FEWEST_CLUSTERS = 4
"""Fewest clusters for a test over clusters: with fewer, it has hardly any power."""


def in_clusters(trials: pd.DataFrame, cluster: str, called: str | None = None) -> pd.DataFrame:
    """Return trials with one row for each arm and cluster, the mean over the trials in it; the cluster is the seed.

    An arm is complete in a cluster only where all of its trials there are. Where clusters are the contexts, arms of one
    name are one arm, the baselines too. ``called`` is the column's name in messages, if that differs.

    Raises:
        InputError: If there is no such column, a trial has no cluster, or there are fewer than `FEWEST_CLUSTERS`.
    """
    pool = of_fixed_arms(trials)  # not averaged over teachers first: a seed may stand in several clusters
    if cluster not in pool:
        raise InputError(f"cluster {cluster!r}: there is no such column; there are: {listed(pool)}")
    clusters = pool[cluster]
    if clusters.isna().any() or (count := clusters.nunique()) < FEWEST_CLUSTERS:
        found = "a trial without one" if clusters.isna().any() else f"{count}: {listed(clusters.unique())}"
        raise InputError(
            f"cluster {(called or cluster)!r}: a test over clusters needs {FEWEST_CLUSTERS} or more; got {found}"
        )
    if cluster == "context":
        names = pool["arm_id"].map(shared_names(pool))
        pool = pool.assign(context="", arm=names, arm_id=names)
    return averaged(pool.assign(seed=clusters))
