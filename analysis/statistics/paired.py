"""Arms that share their seeds: effects, intervals and tests, for any number of contrasts at once.

Pure functions of arrays. The last axis is the seeds, the axes before it are contrasts; NaN stands for a seed at which
there is no result, and a pair is a seed at which both sides have one.

The test that decides is Student's paired t test, whatever the number of seeds. The exact sign-flip test stands beside
it; with few seeds it cannot reject at all. The page on statistics shows how both behave if their assumptions fail.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln

from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING, Counts, Floats, half_width
from cktf.rows import Alternative

TEST, WELCH, OVER_CLUSTERS = "paired t", "Welch's t", " over clusters"
"""Names of the deciding tests (arms that share seeds; arms that do not), and the suffix of a test over clusters."""

FEWEST_FLIPPED, MOST_FLIPPED = 6, 20
"""Fewest and most pairs of the sign-flip test: fewer reach no two-sided p < 0.05, more have too many flips to count."""

FLIPS_HELD = 2**20
"""Number of flips in memory at a time."""

EQUAL_SUMS = 1e-9
"""Sums of flipped differences that differ by less than this share of the differences' sizes are equal."""


@dataclass(frozen=True)
class PairedEffects:
    """Contrasts of arms with their baselines, each field an array over contrasts; what cannot be computed is NaN.

    Attributes:
        mean: Mean of the arm over the pairs; ``baseline_mean`` likewise.
        effect: Mean difference, in the unit of the values.
        sd: Standard deviation of the differences.
        low: Lower end of the interval of the effect.
        correlation: Pearson's correlation of the two sides; the higher, the more pairing gains.
        n_unpaired: Seeds that each arm of an unpaired design would need for the same standard error.
        hedges_gz: Standardised effect: mean difference over ``sd`` (d_z), times Hedges' correction.
        statistic: Student's t, with ``n_pairs - 1`` degrees of freedom.
        p: Its two-sided p: below 0.05 exactly where the 95% interval leaves out 0.
        standard_error: Standard error of the effect; NaN where nothing was tested.
        df: Degrees of freedom of t.
        n_arm: Number of values of the arm that were used; ``n_baseline`` likewise.
    """

    n_pairs: Counts
    mean: Floats
    baseline_mean: Floats
    effect: Floats
    sd: Floats
    low: Floats
    high: Floats
    correlation: Floats
    n_unpaired: Floats
    hedges_gz: Floats
    statistic: Floats
    p: Floats
    standard_error: Floats
    df: Floats
    n_arm: Counts
    n_baseline: Counts


def paired_effects(values: Floats, baseline: Floats, confidence: float = CONFIDENCE) -> PairedEffects:
    """Return the effects of arms against their baselines at the same seeds.

    Differences that do not vary at all (two quantised accuracies, say) hold no information on their own
    error: the test would call any of them infinitely sure. They get an effect, but neither interval nor p.

    Every contrast is computed from its own pairs alone, to the last bit: neither the size of other contrasts nor
    the seeds that only these have change any of its results.

    Both sides are (..., seeds), or the baseline has a shape that broadcasts to it.
    """
    values, baseline = np.broadcast_arrays(values, baseline)
    is_pair = np.isfinite(values) & np.isfinite(baseline)
    n = is_pair.sum(axis=-1)
    arm, base = (np.where(is_pair, side, 0.0) for side in (values, baseline))
    largest = np.maximum(np.abs(arm), np.abs(base)).max(axis=-1, initial=0)
    # A power of two, which changes no digit, brings each contrast to the size of 1: no square of it overflows.
    exponent = np.frexp(largest)[1]
    arm, base = (np.ldexp(side, -exponent[..., np.newaxis]) for side in (arm, base))
    sides = (arm, base, arm - base)
    means = [summed(side) / np.where(n > 0, n, np.nan) for side in sides]
    deviations = [np.where(is_pair, side - mean[..., np.newaxis], 0.0) for side, mean in zip(sides, means, strict=True)]
    squares = [summed(deviation**2) for deviation in deviations]
    enough = np.where(n > 1, n, np.nan)
    variances = [square / (enough - 1) for square in squares]
    effect, sd = means[2], np.sqrt(variances[2])

    rounding = RELATIVE_ROUNDING * np.ldexp(largest, -exponent)
    arm_varies, base_varies, differs = (spread(side, is_pair) > rounding for side in sides)
    products = summed(deviations[0] * deviations[1])
    norm = np.where(arm_varies & base_varies, np.sqrt(squares[0] * squares[1]), np.nan)
    tested = np.where(differs, sd, np.nan)
    half = half_width(tested, n, confidence)
    error = tested / np.sqrt(enough)
    statistic = effect / error
    return PairedEffects(
        n_pairs=n,
        mean=np.ldexp(means[0], exponent),
        baseline_mean=np.ldexp(means[1], exponent),
        effect=np.ldexp(effect, exponent),
        sd=np.ldexp(sd, exponent),
        low=np.ldexp(effect - half, exponent),
        high=np.ldexp(effect + half, exponent),
        correlation=products / norm,
        n_unpaired=n * (variances[0] + variances[1]) / tested**2,
        hedges_gz=effect / tested * hedges_correction(n - 1),
        statistic=statistic,
        p=np.asarray(2 * stats.t.sf(np.abs(statistic), enough - 1)),
        standard_error=np.ldexp(error, exponent),
        df=enough - 1,
        n_arm=n,
        n_baseline=n,
    )


def equivalence_p(found: PairedEffects, delta: float) -> Floats:
    """Return p of two one-sided t tests (Schuirmann 1987); null hypothesis: an effect is not within ``delta`` of zero.

    Below 0.05 exactly where the 90% interval of the effect lies within ``-delta`` and ``delta``.
    """
    return np.maximum(one_sided_p(found, -delta, 1), one_sided_p(found, delta, -1))


def one_sided_p(found: PairedEffects, bound: float, sign: int) -> Floats:
    """Return p of the one-sided t test; null hypothesis: an effect is not above a bound, or with ``sign`` -1 not below.

    Below 0.05 exactly where the 90% interval of the effect lies above (below) the bound.
    """
    return np.asarray(stats.t.sf(sign * (found.effect - bound) / found.standard_error, found.df))


def direction(alternative: str, *, maximise: bool) -> int:
    """Return the sign of the effects that a test looks for: 1 or -1; 0 if it is two-sided."""
    if alternative == Alternative.TWO_SIDED:
        return 0
    return 1 if (alternative == Alternative.BETTER) == maximise else -1


def sign_flip_p(differences: Floats) -> Floats:
    """Return the two-sided p of the exact sign-flip test of the mean: the share of all flips that reach its size.

    Exact where a difference is as likely as its negative, whatever its distribution. Differences are (..., seeds), NaN
    where there is no pair; p is NaN where there are fewer than `FEWEST_FLIPPED` pairs or more than `MOST_FLIPPED`.
    """
    n = np.isfinite(differences).sum(axis=-1)
    is_made = (n >= FEWEST_FLIPPED) & (n <= MOST_FLIPPED)
    p = np.full(n.shape, np.nan)
    for pairs in np.unique(n[is_made]):
        chosen = differences[n == pairs]
        rows = chosen[np.isfinite(chosen)].reshape(-1, pairs)
        num_parts = -(-(len(rows) * 2 ** (pairs - 1)) // FLIPS_HELD)
        p[n == pairs] = np.concatenate([_share_of_flips(part) for part in np.array_split(rows, num_parts)])
    return p


def _share_of_flips(differences: Floats) -> Floats:
    """Return which share of all sign flips of differences (rows, pairs) has a sum as large as theirs, (rows,)."""
    sums = differences[:, :1]  # the first sign is fixed, since a flip of all keeps the sum's size
    for column in differences.T[1:, :, np.newaxis]:
        sums = np.concatenate([sums + column, sums - column], axis=1)
    seen = np.abs(differences.sum(axis=1, keepdims=True))
    rounding = EQUAL_SUMS * np.abs(differences).sum(axis=1, keepdims=True)
    return np.asarray((np.abs(sums) >= seen - rounding).mean(axis=1))


def hedges_correction(freedom: Counts) -> Floats:
    """Return the exact bias correction of a standardised mean (Hedges 1981); NaN below two degrees of freedom."""
    half = np.where(freedom > 1, freedom, np.nan) / 2
    return np.asarray(np.exp(gammaln(half) - gammaln(half - 0.5)) / np.sqrt(half))


def summed(values: Floats) -> Floats:
    """Return sums over the last axis, taken seed by seed, so that zeros between the values change no bit of them."""
    return reduce(np.add, np.moveaxis(values, -1, 0), np.zeros(values.shape[:-1]))


def spread(side: Floats, is_pair: NDArray[np.bool_]) -> Floats:
    """Return largest minus smallest value over the pairs; ``-inf`` where there is none."""
    largest = np.max(side, axis=-1, initial=-np.inf, where=is_pair)
    smallest = np.min(side, axis=-1, initial=np.inf, where=is_pair)
    return np.asarray(largest - smallest)


FEWEST_CORRELATED = 5
"""Fewest pairs at which a correlation has an interval."""

FEWEST_UNPAIRED = 8
"""Fewest pairs at which the seeds of an unpaired design are reported: they follow from the correlation."""


def correlation_interval(correlation: Floats, n: Counts) -> tuple[Floats, Floats]:
    r"""Return the interval of correlations, :math:`\tanh(\mathrm{artanh}\, r \pm z / \sqrt{n - 3})` (Fisher 1915).

    Lower and upper ends have the shape of Pearson's r and of the pairs n; NaN below `FEWEST_CORRELATED` pairs.
    """
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) / np.sqrt(np.where(n >= FEWEST_CORRELATED, n - 3, np.nan))
    with np.errstate(divide="ignore"):  # a correlation of 1 has an interval without width
        middle = np.arctanh(np.clip(correlation, -1, 1))
    return np.tanh(middle - half), np.tanh(middle + half)


def variance_left(values: Floats, baseline: Floats, is_tested: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    r"""Return the variance of paired differences over that of unpaired ones, and the ends of its interval.

    With u the sum and v the difference of both sides, :math:`s_v^2 / (s_a^2 + s_b^2) = 2 / (1 + w)`,
    :math:`w = s_u^2 / s_v^2`: a ratio of two variances of correlated normal values, whose exact interval is
    :math:`w (K \pm \sqrt{K^2 - 1})`, :math:`K = 1 + 2 (1 - r^2) t_{n-2}^2 / (n - 2)`, r being the correlation of u and
    v (Pitman 1939, Morgan 1939). Below 1, pairing gained; at 1, it removed nothing; 2 is the worst case.

    Both sides are (comparisons, seeds), the three results (comparisons,): NaN where differences do not vary
    (``is_tested`` is false), the ends also below `FEWEST_CORRELATED` pairs.
    """
    is_pair = np.isfinite(values) & np.isfinite(baseline)
    with np.errstate(over="ignore", invalid="ignore"):  # no ratio if squares overflow
        sides = np.stack([values + baseline, values - baseline])
        n = np.where(is_tested, is_pair.sum(axis=-1), np.nan)
        means = np.where(is_pair, sides, 0.0).sum(axis=-1) / n
        around = np.where(is_pair, sides - means[..., np.newaxis], 0.0)
        of_sum, of_difference = (around**2).sum(axis=-1)
        ratio = of_sum / of_difference
        freedom = np.where(n >= FEWEST_CORRELATED, n - 2, np.nan)
        unshared = of_sum * of_difference - around.prod(axis=0).sum(axis=-1) ** 2
        t = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
        varies = np.where(of_sum > 0, of_sum * of_difference, np.inf)
        spread = np.maximum(2 * unshared / varies * t**2 / freedom, 0.0)
        factor = 1 + spread + np.sqrt(spread * (spread + 2))
        return 2 / (1 + ratio), 2 / (1 + ratio * factor), 2 / (1 + ratio / factor)
