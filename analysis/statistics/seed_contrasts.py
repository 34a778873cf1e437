"""Tests of contrasts of arms that share seeds: a seed is a replicate, whatever its trials have in common.

A contrast is computed within each seed that has all arms that it needs::

    c_s = sum over arms a of w_a y_as

and judged by Student's t of its mean over n seeds, with n - 1 degrees of freedom; several of them together by
Hotelling's T^2, F = T^2 (n - q) / (q (n - 1)) with q and n - q degrees of freedom for q contrasts (Anderson 2003,
section 5.2). Both are exact for normal scores, however arms and factors vary and correlate from seed to seed. If
too few seeds have all of these arms, least squares uses all trials (see `analysis.statistics.clustered`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from analysis.statistics.clustered import clustered
from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING, Floats

WITHIN = "the contrast's values within each seed (Student's t, Hotelling's F)"
CLUSTERED = "least squares, a mean for every arm, seed as block, errors clustered by seed (CR2, Satterthwaite)"
"""How a test is made: from the seeds that have all arms that it needs, or from all trials of these arms."""

COMPLETE_SHARE = 2 / 3
"""A test is made within seeds if at least this share of them have all arms that it needs."""

WITHOUT_ERROR = "the scores follow the model without error: nothing to test against"

SMALL_EIGENVALUE = 1e-10
"""Eigenvalue of the contrasts' correlations below which they are linearly dependent up to rounding."""


@dataclass(frozen=True)
class SeedTest:
    """The test of one contrast, or of several together.

    Attributes:
        effect: (contrasts,) estimates; NaN where there are none.
        standard_error: (contrasts,), NaN where nothing was tested.
        statistic: F; for one contrast the square of Student's t.
        freedom: Degrees of freedom of the numerator and of the denominator (NaN where nothing was tested).
        p: Two-sided p value.
        n_seeds: Number of seeds that were used.
        n: Number of trials that were used.
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

    def figures(self) -> dict[str, Any]:
        """Return the estimate, the interval and the test of one contrast, as columns of a table."""
        effect = float(self.effect[0])
        half = float(special.stdtrit(self.freedom[1], (1 + CONFIDENCE) / 2) * self.standard_error[0])
        return {
            **{"effect": effect, "low": effect - half, "high": effect + half, "p": self.p},
            **{"n_seeds": self.n_seeds, "n": self.n, "model": self.model, "reason": self.reason},
        }


def seed_test(scores: Floats, weights: Floats) -> SeedTest:
    """Return the test that contrasts are zero, from the scores of the arms with a nonzero weight alone.

    Args:
        scores: (seeds, arms), NaN where a trial has no result.
        weights: (contrasts, arms), each row summing to zero; linearly dependent rows are left out.
    """
    weights = _independent(weights)
    needed = np.abs(weights).max(axis=0) > 0
    scores, weights = scores[:, needed], weights[:, needed]
    is_there = np.isfinite(scores)
    is_complete = is_there.all(axis=1)
    n_seeds = int(is_there.any(axis=1).sum())
    is_within = is_complete.any() and is_complete.sum() >= COMPLETE_SHARE * n_seeds
    if is_within:
        scores, n_seeds = scores[is_complete], int(is_complete.sum())
    n, count, model = int(np.isfinite(scores).sum()), len(weights), WITHIN if is_within else CLUSTERED
    none = np.full(count, np.nan)

    def untested(reason: str, effect: Floats = none) -> SeedTest:
        return SeedTest(effect, none, np.nan, (count, np.nan), np.nan, n_seeds, n, model, reason)

    freedom: float
    if is_within:
        found = scores @ weights.T
        effect, freedom = found.mean(axis=0), n_seeds - 1
        if not freedom:
            return untested("one seed has all arms that it needs: no interval", effect)
        covariance = (found - effect).T @ (found - effect) / (n_seeds * freedom)
        spread = np.ptp(found, axis=0)
    elif not is_there.any(axis=0).all():
        return untested("an arm that it needs has no complete trial")
    else:
        fit = clustered(scores, weights)
        if isinstance(fit, str):
            return untested(fit)
        effect, covariance, freedom = fit
        spread = np.sqrt(np.diag(covariance))
    size = np.nanmax(np.abs(scores)[:, np.newaxis] * np.abs(weights), axis=(0, 2))
    if (spread <= RELATIVE_ROUNDING * size).any():
        return untested(WITHOUT_ERROR, effect)
    below = freedom - count + 1
    if below <= 0:
        return untested(f"too few seeds to test {count} contrasts together", effect)
    error = np.sqrt(np.diag(covariance))
    correlations = covariance / np.outer(error, error)
    if np.linalg.eigvalsh(correlations)[0] < SMALL_EIGENVALUE:
        return untested("the contrasts depend on one another at every seed", effect)
    t = effect / error
    statistic = float(t @ np.linalg.solve(correlations, t)) * below / (freedom * count)
    p = float(special.fdtrc(count, below, statistic))
    return SeedTest(effect, error, statistic, (count, below), p, n_seeds, n, model, "")


def _independent(weights: Floats) -> Floats:
    """Return the rows (contrasts, arms) that are no combination of those before them."""
    rows: list[Floats] = []
    for row in weights:
        if np.linalg.matrix_rank([*rows, row]) > len(rows):
            rows.append(row)
    return np.array(rows)
