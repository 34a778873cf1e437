"""Tests of contrasts of arms that share seeds: a seed is a replicate, whatever its trials have in common.

A contrast is computed within each seed that has all arms that it needs::

    c_s = sum over arms a of w_a y_as

and judged by Student's t of its mean over n seeds, with n - 1 degrees of freedom; several of them together by
Hotelling's T^2, F = T^2 (n - q) / (q (n - 1)) with q and n - q degrees of freedom for q contrasts (Anderson 2003,
section 5.2). Both are exact for normal scores, however arms and factors vary and go together from seed to seed. Where
too few seeds have all of these arms, least squares takes all trials (see `analysis.statistics.clustered`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.statistics.clustered import clustered
from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING

Floats = NDArray[np.float64]

WITHIN = "the contrast's values within each seed (Student's t, Hotelling's F)"
CLUSTERED = "least squares, a mean for every arm, seed as block, errors clustered by seed (CR2, Satterthwaite)"
"""How a test is made: from the seeds that have all arms that it needs, or from all trials of these arms."""

COMPLETE_SHARE = 2 / 3
"""Share of the seeds that must have all arms that a test needs for it to be made within them."""

WITHOUT_ERROR = "the scores follow the model without error: nothing to test against"

SMALL_EIGENVALUE = 1e-10
"""Eigenvalue of correlations of contrasts: with one below it they depend on one another but for rounding."""


@dataclass(frozen=True)
class SeedTest:
    """The test of one contrast, or of several together.

    Attributes:
        effect: (contrasts,) estimates; NaN where there are none.
        standard_error: (contrasts,), NaN where nothing was tested.
        statistic: F; of one contrast the square of Student's t.
        freedom: Degrees of freedom of the numerator and of the denominator; NaN likewise.
        p: Two-sided.
        n_seeds: Seeds that were used.
        n: Trials that were used.
        model: `WITHIN` or `CLUSTERED`.
        reason: Why there is no p; empty where there is one.
    """

    effect: Floats
    standard_error: Floats
    statistic: float
    freedom: tuple[int, float]
    p: float
    n_seeds: int
    n: int
    model: str
    reason: str

    def interval(self) -> tuple[float, float]:
        """Return the ends of the interval of one contrast."""
        half = special.stdtrit(self.freedom[1], (1 + CONFIDENCE) / 2) * self.standard_error[0]
        return float(self.effect[0] - half), float(self.effect[0] + half)


def seed_test(scores: Floats, weights: Floats) -> SeedTest:
    """Test that contrasts are zero, by the scores of the arms that have a weight alone.

    Args:
        scores: (seeds, arms), NaN where a trial has no result.
        weights: (contrasts, arms), each row summing to zero; those that follow from others are left out.
    """
    weights = _independent(weights)
    needed = np.abs(weights).max(axis=0) > 0
    scores, weights = scores[:, needed], weights[:, needed]
    is_there = np.isfinite(scores)
    is_complete = is_there.all(axis=1)
    n_complete, n_any = int(is_complete.sum()), int(is_there.any(axis=1).sum())
    if n_complete and n_complete >= COMPLETE_SHARE * n_any:
        return _within(scores[is_complete], weights)
    none = np.full(len(weights), np.nan)
    if not is_there.any(axis=0).all():
        return _untested(none, n_any, int(is_there.sum()), CLUSTERED, "an arm that it needs has no complete trial")
    found = clustered(scores, weights)
    if isinstance(found, str):
        return _untested(none, n_any, int(is_there.sum()), CLUSTERED, found)
    effect, covariance, freedom = found
    size = np.nanmax(np.abs(scores)[:, np.newaxis] * np.abs(weights), axis=(0, 2))
    if (np.sqrt(np.diag(covariance)) <= RELATIVE_ROUNDING * size).any():
        return _untested(effect, n_any, int(is_there.sum()), CLUSTERED, WITHOUT_ERROR)
    return _judged(effect, covariance, freedom, n_any, int(is_there.sum()), CLUSTERED)


def _within(scores: Floats, weights: Floats) -> SeedTest:
    """Test contrasts by their values within each seed (seeds, arms), all of which are there."""
    found = scores @ weights.T
    effect, n = found.mean(axis=0), len(scores)
    if n < 2:
        return _untested(effect, n, scores.size, WITHIN, "one seed has all arms that it needs: no interval")
    size = np.max(np.abs(scores)[:, np.newaxis] * np.abs(weights), axis=(0, 2))
    if (np.ptp(found, axis=0) <= RELATIVE_ROUNDING * size).any():
        return _untested(effect, n, scores.size, WITHIN, WITHOUT_ERROR)
    covariance = (found - effect).T @ (found - effect) / (n * (n - 1))
    return _judged(effect, covariance, n - 1, n, scores.size, WITHIN)


def _judged(effect: Floats, covariance: Floats, freedom: float, n_seeds: int, n: int, model: str) -> SeedTest:
    """Return Hotelling's test of contrasts whose covariance has these degrees of freedom."""
    count = len(effect)
    below = freedom - count + 1
    if below <= 0:
        return _untested(effect, n_seeds, n, model, f"too few seeds to test {count} contrasts together")
    error = np.sqrt(np.diag(covariance))
    correlations = covariance / np.outer(error, error)
    if np.linalg.eigvalsh(correlations)[0] < SMALL_EIGENVALUE:
        return _untested(effect, n_seeds, n, model, "the contrasts depend on one another at every seed")
    t = effect / error
    statistic = float(t @ np.linalg.solve(correlations, t)) * below / (freedom * count)
    p = float(special.fdtrc(count, below, statistic))
    return SeedTest(effect, error, statistic, (count, below), p, n_seeds, n, model, "")


def _untested(effect: Floats, n_seeds: int, n: int, model: str, reason: str) -> SeedTest:
    none = np.full(len(effect), np.nan)
    return SeedTest(effect, none, np.nan, (len(effect), np.nan), np.nan, n_seeds, n, model, reason)


def _independent(weights: Floats) -> Floats:
    """Return the rows (contrasts, arms) that are no combination of those before them."""
    if len(weights) == 1:
        return weights
    rows: list[Floats] = []
    for row in weights:
        if np.linalg.matrix_rank([*rows, row]) > len(rows):
            rows.append(row)
    return np.array(rows)
