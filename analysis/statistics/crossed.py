"""Means over two crossed random factors: seeds and teachers, or seeds and images."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING, Floats


@dataclass(frozen=True)
class CrossedMean:
    """Means of matrices, each field an array over matrices; what cannot be computed is NaN.

    Attributes:
        standard_error: Standard error of the mean, for a population of rows and of columns.
        df: Degrees of freedom of the standard error, Satterthwaite's.
        p: Two-sided p of the hypothesis that the mean is 0.
    """

    mean: Floats
    standard_error: Floats
    df: Floats
    low: Floats
    high: Floats
    p: Floats


def crossed_mean(values: Floats, confidence: float = CONFIDENCE) -> CrossedMean:
    r"""Return the mean of values of two crossed random factors, for a population of both.

    With :math:`MS_r, MS_c, MS_e` the mean squares of rows, columns and the rest, the variance of the mean of n rows and
    N columns is estimated by :math:`V / nN`, :math:`V = \max(MS_r + MS_c - MS_e, MS_r, MS_c)`, its degrees of freedom
    by Satterthwaite's formula, between n - 1 and N - 1.

    Values are (..., rows, columns), such as differences of an arm and its baseline by seed and teacher, none missing.
    There is neither standard error nor p for one row or one column, nor if all values of a matrix are equal.
    """
    n, count = values.shape[-2:]
    mean = values.mean(axis=(-2, -1))
    rows, columns = values.mean(axis=-1), values.mean(axis=-2)
    rest = values - rows[..., :, None] - columns[..., None, :] + mean[..., None, None]
    degrees = [degree or np.nan for degree in (n - 1, count - 1, (n - 1) * (count - 1))]
    of_rows = count * ((rows - mean[..., None]) ** 2).sum(axis=-1) / degrees[0]
    of_columns = n * ((columns - mean[..., None]) ** 2).sum(axis=-1) / degrees[1]
    of_rest = (rest**2).sum(axis=(-2, -1)) / degrees[2]
    variance = np.maximum(of_rows + of_columns - of_rest, np.maximum(of_rows, of_columns))
    varies = np.ptp(values, axis=(-2, -1)) > RELATIVE_ROUNDING * np.abs(values).max(axis=(-2, -1))
    variance = np.where(varies, variance, np.nan)
    df = variance**2 / (of_rows**2 / degrees[0] + of_columns**2 / degrees[1] + of_rest**2 / degrees[2])
    df = np.clip(df, min(n, count) - 1, max(n, count) - 1)
    error = np.sqrt(variance / (n * count))
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    return CrossedMean(mean, error, df, mean - half, mean + half, 2 * stats.t.sf(np.abs(mean) / error, df))
