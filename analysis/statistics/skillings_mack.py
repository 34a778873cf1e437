r"""The test of Skillings and Mack (1981) for ranks in incomplete blocks; for complete ones it is Friedman's.

With k_j arms in block j, the rank R of an arm counts there as :math:`\sqrt{12 / (k_j + 1)} (R - (k_j + 1) / 2)`: blocks
with few arms weigh no less, and an arm that is missing counts as in the middle. If all arms are alike, all orders of a
block's ranks are equally likely; the covariance of these sums follows from that, also for tied ranks.
"""

import numpy as np
from scipy import stats

from analysis.statistics.intervals import Floats

SMALL = 1e-9
"""Share of a covariance's largest eigenvalue below which an eigenvalue is 0 up to rounding."""


def skillings_mack(ranks: Floats) -> tuple[float, float]:
    """Return the chi-square of ranks and its p; both are NaN if all ranks of every block are tied.

    Ranks are (blocks, arms), NaN where an arm is missing; each block has two arms or more.
    """
    sums, covariance = _sums(ranks, is_tied=True)
    values, vectors = np.linalg.eigh(covariance)
    counts = values > SMALL * values[-1]
    if not counts.any():
        return np.nan, np.nan
    statistic = float(np.sum((vectors.T @ sums)[counts] ** 2 / values[counts]))
    return statistic, float(stats.chi2.sf(statistic, counts.sum()))


def standardised_differences(ranks: Floats, arm: int) -> Floats:
    """Return each arm's sum of ranks minus that of one arm, in standard errors without correction for ties."""
    sums, covariance = _sums(ranks, is_tied=False)
    own = np.diag(covariance)
    variance = own + own[arm] - 2 * covariance[arm]
    return np.asarray((sums - sums[arm]) / np.sqrt(np.where(variance > 0, variance, np.nan)))


def _sums(ranks: Floats, *, is_tied: bool) -> tuple[Floats, Floats]:
    """Return the weighted sums of ranks (arms,) and their covariance (arms, arms) where all arms are alike."""
    there = np.isfinite(ranks).astype(np.float64)
    sizes = there.sum(axis=1, keepdims=True)
    around = np.sqrt(12 / (sizes + 1)) * np.where(there > 0, ranks - (sizes + 1) / 2, 0.0)
    spread = (around**2).sum(axis=1, keepdims=True) / (sizes * (sizes - 1)) if is_tied else np.ones_like(sizes)
    return around.sum(axis=0), np.diag((spread * sizes * there).sum(axis=0)) - there.T @ (spread * there)
