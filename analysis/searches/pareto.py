"""The trade-offs of a search of several metrics: its Pareto front, the front at fresh seeds, and how it grew."""

import numpy as np
import pandas as pd

from analysis.statistics.any_table import averaged
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, Floats, grouped_estimates
from cktf.pareto import front, hypervolume
from cktf.rows import Stage, Status, StudyRow

COLUMNS = columns(
    """
    arm_id arm is_baseline is_on_front metric n_search search_score n mean low high confidence
    """
)


def metric_means(trials: pd.DataFrame, study: StudyRow, stage: Stage) -> pd.DataFrame:
    """Return each arm's mean of each metric (a column), indexed by ``arm_id``, in the order of planning.

    It has those arms of the stage alone that are complete, with finite values, at each of their seeds.
    """
    own = trials[trials["stage"] == stage]
    values = own[[*study.directions]].astype(np.float64)
    values = values.where(np.isfinite(values) & own["status"].eq(Status.COMPLETE).to_numpy()[:, None])
    by_arm = values.groupby(own["arm_id"], sort=False)
    is_whole = by_arm.count().eq(by_arm.size(), axis=0).all(axis=1)
    return by_arm.mean()[is_whole]


def losses_of(means: pd.DataFrame, study: StudyRow) -> Floats:
    """Return the metrics (arms, metrics) so that smaller is better."""
    return means.to_numpy(np.float64) * [-1.0 if larger else 1.0 for larger in study.directions.values()]


def pareto(trials: pd.DataFrame, study: StudyRow) -> pd.DataFrame:
    """Return the arms on the Pareto front of a search, and all confirmed arms: a row for each arm and metric.

    An arm dominates another that is as good in all metrics and better in one. The front of the search was selected by
    its scores, and is optimistic; means at fresh seeds are not.

    Args:
        trials: As `analysis.load` gives them.
        study: Study row of the search.

    Returns:
        The baseline first, then by the first metric, best first; the page on tables says what each column means. Empty
        for a search of one metric.
    """
    if not study.further_metrics:
        return typed([], COLUMNS)
    searched, fresh = (metric_means(trials, study, stage) for stage in (Stage.SEARCH, Stage.CONFIRM))
    on_front = searched.index[front(losses_of(searched, study))]
    judged = fresh if len(fresh) else searched
    best = set(judged.index[front(losses_of(judged, study))])
    named = trials.drop_duplicates("arm_id").set_index("arm_id")
    of_search, of_fresh = (averaged(trials[trials["stage"] == stage]) for stage in (Stage.SEARCH, Stage.CONFIRM))
    of_fresh = of_fresh[of_fresh["arm_id"].isin(fresh.index)]
    frames = []
    for metric in study.directions:
        found = pd.DataFrame({"arm_id": list(dict.fromkeys([*on_front, *fresh.index]))})
        found = found.merge(grouped_estimates(of_fresh, ["arm_id"], metric), on="arm_id", how="left")
        found["n_search"] = found["arm_id"].map(of_search["arm_id"].value_counts()).fillna(0)
        frames.append(found.assign(metric=metric, search_score=found["arm_id"].map(searched[metric])))
    found = pd.concat(frames, ignore_index=True).fillna({"n": 0})
    found["arm"] = found["arm_id"].map(named["arm"])
    found["is_baseline"] = found["arm_id"].map(named["is_baseline"])
    found["is_on_front"] = found["arm_id"].isin(best)
    first = found[found["metric"] == study.metric].set_index("arm_id")
    score = first["mean"].fillna(first["search_score"]) * (-1 if study.maximise else 1)
    order = found.assign(confidence=CONFIDENCE, place=found["arm_id"].map(score))
    order = order.sort_values(["is_baseline", "place", "arm_id"], ascending=[False, True, True], kind="stable")
    return typed(order.reset_index(drop=True), COLUMNS)


def volumes(means: pd.DataFrame, study: StudyRow) -> Floats:
    """Return the hypervolume of the first arm, of the first two, and so on (arms,), from the search's `metric_means`.

    It is a share of the box between the best and the worst value of each metric of all these arms.
    """
    losses = losses_of(means, study)
    losses = (losses - losses.min(axis=0)) / np.where(np.ptp(losses, axis=0) > 0, np.ptp(losses, axis=0), 1.0)
    best, found = losses[:0], []
    for loss in losses:
        if not (best <= loss).all(axis=1).any():  # else it adds no volume
            best = np.vstack([best, loss])
            best = best[front(best)]
            found.append(hypervolume(best, np.ones(losses.shape[1])))
        else:
            found.append(found[-1])
    return np.array(found)
