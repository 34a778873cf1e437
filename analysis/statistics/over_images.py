"""Which test images each trial classifies correctly, and intervals of effects that hold for new test images, too."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.ledger.epochs import CORRECT
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.intervals import Floats
from cktf.errors import InputError

ACCURACY = "test_accuracy"
"""The metric that is known image by image, in per cent."""

IMAGES = ["test_images", "config.data.name", "config.data.content"]
"""Columns that are equal where trials are scored on the same images."""


def correct(trials: pd.DataFrame, context: str | None = None) -> pd.DataFrame:
    """Return whether each trial classifies each test image correctly.

    Args:
        trials: As `analysis.load` gives them.
        context: The only context; None: all of them, which then have to have equally many test images.

    Returns:
        Booleans: a row for each trial, indexed by ``trial_id``, and a column for each image, in the order of the test
        split. Trials without this record (no test scores, or of an older version) are left out.

    Raises:
        InputError: If trials have different numbers of images, or a record does not fit its number of images.
    """
    if CORRECT not in trials:
        return pd.DataFrame(index=pd.Index([], name="trial_id", dtype="str"), dtype="bool")
    chosen = trials if context is None else trials[trials["context"] == context]
    chosen = chosen[chosen[CORRECT].fillna("").ne("")]
    if (counts := chosen.groupby("context", sort=False)["test_images"].unique()).explode().nunique() > 1:
        told = "; ".join(f"{', '.join(f'{n:.0f}' for n in found)} in {name!r}" for name, found in counts.items())
        raise InputError(f"trials have different numbers of test images, so choose a context: {told}")
    rows = []
    for trial_id, text, count in zip(*(chosen[name] for name in ("trial_id", CORRECT, "test_images")), strict=True):
        try:
            packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        except (binascii.Error, ValueError):
            packed = np.zeros(0, np.uint8)
        if np.isnan(count) or len(packed) != -(-int(count) // 8):
            raise InputError(f"trial {trial_id!r}: {CORRECT} does not hold a bit for each of its {count:g} test images")
        rows.append(np.unpackbits(packed, count=int(count)))
    images = np.array(rows, dtype=np.bool_) if rows else np.zeros((0, 0), dtype=np.bool_)
    return pd.DataFrame(images, index=pd.Index(chosen["trial_id"], name="trial_id"))


def over_images(
    trials: pd.DataFrame, pairs: Sequence[tuple[Any, Any, "pd.Index[Any]"]], confidence: Floats
) -> tuple[Floats, Floats]:
    """Return the intervals of effects on the test accuracy for a population of seeds and of test images.

    If teachers are crossed with seeds, an image's score at a seed is the share of teachers whose students classify it
    correctly: the interval holds for these teachers.

    Args:
        trials: Complete ones of fixed arms, several at a seed where teachers are crossed.
        pairs: For each comparison the ids of both arms, and the seeds at which both have a score.
        confidence: (comparisons,) Confidence of the intervals; NaN: no interval.

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
    """Return the share of an arm's trials that classify an image correctly, (seeds in ascending order, images)."""
    trials = trials.sort_values("seed")
    first = np.flatnonzero(~trials["seed"].duplicated())
    counts = np.diff(first, append=len(trials))
    return np.asarray(np.add.reduceat(correct(trials).to_numpy(np.float64), first, axis=0) / counts[:, np.newaxis])
