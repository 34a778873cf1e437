"""Intervals of effects on the test accuracy that hold for other test images, too: seeds crossed with images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.ledger.epochs import CORRECT
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.intervals import Floats
from analysis.statistics.per_image import correct

ACCURACY = "test_accuracy"
"""The metric that is known image by image, in per cent."""

IMAGES = ["test_images", "config.data.name", "config.data.content"]
"""Columns that are equal where trials are scored on the same images."""


def over_images(
    trials: pd.DataFrame, pairs: Sequence[tuple[Any, Any, "pd.Index[Any]"]], confidence: Floats
) -> tuple[Floats, Floats]:
    """Return the intervals of effects on the test accuracy for further seeds and further test images alike.

    Where teachers are crossed with seeds, an image is right at a seed in the share of teachers whose students have it
    right: the interval holds for these teachers.

    Args:
        trials: Complete ones of fixed arms, several at a seed where teachers are crossed.
        pairs: Of each comparison the ids of both arms, and the seeds at which both have a score.
        confidence: (comparisons,) of the intervals; NaN: none.

    Returns:
        Lower and upper ends (comparisons,), in percentage points; NaN where a trial has no record of its images, where
        both arms were not scored on the same ones, below two seeds, and where no difference varies.
    """
    ends = np.full((2, len(pairs)), np.nan)
    if CORRECT not in trials:
        return ends[0], ends[1]
    of_arm = dict(iter(trials.groupby("arm_id", sort=False, observed=True)))
    known = trials.columns.intersection(IMAGES)
    for place, (*both, seeds) in enumerate(pairs):
        if len(seeds) < 2 or np.isnan(confidence[place]):
            continue
        sides = [of_arm[arm_id][of_arm[arm_id]["seed"].isin(seeds)] for arm_id in both]
        scored = pd.concat(sides)
        if scored[CORRECT].fillna("").eq("").any() or len(scored[known].drop_duplicates()) > 1:
            continue
        first, second = (_by_seed(side) for side in sides)
        found = crossed_mean(100 * (first - second), confidence[place])
        ends[:, place] = found.low, found.high
    return ends[0], ends[1]


def _by_seed(trials: pd.DataFrame) -> Floats:
    """Return the share of an arm's trials at a seed that have an image right, (seeds in order, images)."""
    trials = trials.sort_values("seed")
    first = np.flatnonzero(~trials["seed"].duplicated())
    counts = np.diff(first, append=len(trials))
    return np.asarray(np.add.reduceat(correct(trials).to_numpy(np.float64), first, axis=0) / counts[:, np.newaxis])
