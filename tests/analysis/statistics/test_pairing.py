"""The interval of a correlation of two arms over their seeds."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.paired import correlation_interval


def test_the_interval_is_that_of_scipy() -> None:
    draws = np.random.default_rng(1)
    for n in (5, 8, 30):
        arm = draws.standard_normal(n)
        found = stats.pearsonr(arm, arm + draws.standard_normal(n))
        expected = found.confidence_interval(0.95)
        ends = correlation_interval(np.array(found.statistic), np.array(n), 0.95)
        assert ends == pytest.approx((expected.low, expected.high))


def test_few_pairs_have_none_and_a_perfect_correlation_one_without_width() -> None:
    low, high = correlation_interval(np.array([0.5, np.nan, 1.0, -1.0]), np.array([4, 9, 6, 6]), 0.95)
    np.testing.assert_array_equal(low, [np.nan, np.nan, 1, -1])
    np.testing.assert_array_equal(high, [np.nan, np.nan, 1, -1])
