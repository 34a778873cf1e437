"""Welch's t test of arms that share no seed with their baselines, for any number of contrasts at once."""

import numpy as np
from scipy import stats

from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING, Floats
from analysis.statistics.paired import PairedEffects, spread, summed

FEWEST = 5
"""Fewest values of each side at which the degrees of freedom are Satterthwaite's, which rest on both estimated
variances: with 3 values beside 20, 14% of studies without effects would err."""


def welch_effects(values: Floats, baseline: Floats, confidence: float = CONFIDENCE) -> PairedEffects:
    r"""Return the effects of arms against baselines whose seeds have nothing to do with theirs.

    The difference of means over :math:`\sqrt{s_a^2/n_a + s_b^2/n_b}` is taken as Student's t, with Satterthwaite's
    degrees of freedom (Welch 1947); where a side has fewer than `FEWEST` values, with one less than the values of the
    smaller side, which is always conservative (Mickey and Brown 1966). There is no test where a side has one value, or
    none of the two varies.

    Values are (..., seeds) and (..., other seeds), NaN where there is none. The result has no pairs, and NaN in the
    fields that need pairs; ``sd`` is that of the difference of one value of each side.
    """
    sides = (values, baseline)
    there = [np.isfinite(side) for side in sides]
    counts = [is_there.sum(axis=-1) for is_there in there]
    filled = [np.where(is_there, side, 0.0) for side, is_there in zip(sides, there, strict=True)]
    # As in `paired_effects`, no square overflows at the size of 1.
    exponent = np.frexp(np.maximum(*(np.abs(side).max(axis=-1, initial=0) for side in filled)))[1]
    means, errors, variances = [], [], []
    for side, is_there, n in zip(filled, there, counts, strict=True):
        scaled = np.ldexp(side, -exponent[..., np.newaxis])
        mean = summed(scaled) / np.where(n > 0, n, np.nan)
        varies = spread(scaled, is_there) > RELATIVE_ROUNDING * np.abs(scaled).max(axis=-1, initial=0)
        squares = summed(np.where(is_there, scaled - mean[..., np.newaxis], 0.0) ** 2)
        variance = np.where(varies, squares, 0.0) / np.where(n > 1, n - 1, np.nan)
        means.append(mean)
        variances.append(variance)
        errors.append(variance / np.maximum(n, 1))
    total = np.where(errors[0] + errors[1] > 0, errors[0] + errors[1], np.nan)
    least = np.minimum(*counts)
    df = total**2 / (errors[0] ** 2 / np.maximum(counts[0] - 1, 1) + errors[1] ** 2 / np.maximum(counts[1] - 1, 1))
    df = np.where((least < FEWEST) & ~np.isnan(df), least - 1, df)
    effect, error = means[0] - means[1], np.sqrt(total)
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    none = np.full(effect.shape, np.nan)
    return PairedEffects(
        n_pairs=np.zeros(effect.shape, np.int64),
        mean=np.ldexp(means[0], exponent),
        baseline_mean=np.ldexp(means[1], exponent),
        effect=np.ldexp(effect, exponent),
        sd=np.ldexp(np.sqrt(variances[0] + variances[1]), exponent),
        low=np.ldexp(effect - half, exponent),
        high=np.ldexp(effect + half, exponent),
        correlation=none,
        n_unpaired=none,
        hedges_gz=none,
        statistic=effect / error,
        p=np.asarray(2 * stats.t.sf(np.abs(effect / error), df)),
        standard_error=np.ldexp(error, exponent),
        df=df,
        n_arm=np.broadcast_to(counts[0], effect.shape),
        n_baseline=np.broadcast_to(counts[1], effect.shape),
    )
