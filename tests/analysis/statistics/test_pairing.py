"""What pairing by seed achieved: the correlation of two arms, the variance that is left, and their intervals."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.paired import correlation_interval, variance_left


def test_the_interval_is_that_of_scipy() -> None:
    draws = np.random.default_rng(1)
    for n in (5, 8, 30):
        arm = draws.standard_normal(n)
        found = stats.pearsonr(arm, arm + draws.standard_normal(n))
        expected = found.confidence_interval(0.95)
        ends = correlation_interval(np.array(found.statistic), np.array(n))
        assert ends == pytest.approx((expected.low, expected.high))


def test_few_pairs_have_none_and_a_perfect_correlation_one_without_width() -> None:
    low, high = correlation_interval(np.array([0.5, np.nan, 1.0, -1.0]), np.array([4, 9, 6, 6]))
    np.testing.assert_array_equal(low, [np.nan, np.nan, 1, -1])
    np.testing.assert_array_equal(high, [np.nan, np.nan, 1, -1])


def test_the_variance_left_is_that_of_the_differences_over_that_of_both_sides_and_solves_pitmans_equation() -> None:
    draws = np.random.default_rng(2)
    shared = draws.standard_normal((3, 9))
    arm, base = (shared + scale * draws.standard_normal((3, 9)) for scale in (1.0, 2.0))
    arm[0, 4] = np.nan
    ratio, low, high = variance_left(arm, base, np.full(3, True))
    for row in range(3):
        there = np.isfinite(arm[row])
        a, b = arm[row, there], base[row, there]
        assert ratio[row] == pytest.approx(np.var(a - b, ddof=1) / (np.var(a, ddof=1) + np.var(b, ddof=1)))
        for end in (low[row], high[row]):
            # At an end, u and v scaled to equal variances there are as uncorrelated as the test of that just allows.
            u, v = a + b, (a - b) * np.sqrt(2 / end - 1)
            assert stats.pearsonr(u + v, u - v).pvalue == pytest.approx(0.05)
        assert low[row] < ratio[row] < high[row]


def test_its_interval_holds_the_true_ratio() -> None:
    draws = np.random.default_rng(3)
    shared = draws.standard_normal((4000, 6))
    arm, base = (shared + draws.standard_normal((4000, 6)) for _ in range(2))
    _, low, high = variance_left(arm, base, np.full(4000, True))
    assert 0.94 < ((low < 0.5) & (high > 0.5)).mean() < 0.96


def test_few_pairs_have_no_interval_and_equal_differences_no_ratio() -> None:
    arm = np.array([[1.0, 2.0, 3.0, 5.0, np.nan], [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    base = np.array([[0.0, 2.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0, -5.0]])
    ratio, low, high = variance_left(arm, base, np.array([True, False, True]))
    assert np.isnan([low[0], high[0], ratio[1], low[1], high[1]]).all()
    assert (ratio[2], low[2], high[2]) == (2.0, 2.0, 2.0)  # the sum does not vary at all
