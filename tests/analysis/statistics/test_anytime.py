"""The p that holds at any time, against the likelihoods that it is made of, and studies without effect."""

import numpy as np
import pytest
from scipy import integrate, stats

from analysis.statistics.anytime import anytime_p, anytime_width


def bayes_factor(d: np.ndarray, bound: float) -> float:
    """The likelihood of the t that is seen, over all effects that the mixture weighs, over that of none."""
    n = len(d)
    t = (d.mean() - bound) / (d.std(ddof=1) / np.sqrt(n))
    over = integrate.quad(lambda e: stats.norm.pdf(e) * stats.nct.pdf(t, n - 1, e * np.sqrt(n)), -6, 6, limit=200)[0]
    return float(over / stats.t.pdf(t, n - 1))


@pytest.mark.parametrize(("bound", "sign"), [(0.0, 0), (0.3, 1), (0.3, -1)])
def test_it_is_one_over_the_largest_likelihood_ratio_so_far(bound: float, sign: int) -> None:
    d = np.random.default_rng(8).normal(0.9, 1, 9)
    largest = 1.0
    for n in range(2, 10):
        if sign == 0 or sign * (d[:n].mean() - bound) > 0:
            largest = max(largest, bayes_factor(d[:n], bound))
        assert anytime_p(d[:n], bound, sign) == pytest.approx(1 / largest, rel=1e-4)


def test_seeds_without_a_pair_are_left_out_and_equal_differences_tell_nothing() -> None:
    d = np.array([[1.0, 0.5, 1.4, 0.9], [1.0, 1.0, 1.0, 1.0], [3.0, np.nan, np.nan, np.nan]])
    gaps = np.insert(d, 2, np.nan, axis=1)
    np.testing.assert_allclose(anytime_p(gaps), anytime_p(d))
    assert list(np.isnan(anytime_p(d))) == [False, True, True]


def test_studies_without_effect_that_are_judged_after_every_seed_err_in_less_than_five_per_cent() -> None:
    d = np.random.default_rng(9).standard_normal((4000, 40))
    assert 0.005 < (anytime_p(d) < 0.05).mean() < 0.04
    assert (anytime_p(d, 0.0, 1) < 0.05).mean() < 0.03


def test_an_interval_leaves_out_zero_exactly_where_this_number_of_pairs_rejects() -> None:
    for n in (4, 5, 12):
        d = np.random.default_rng(n).normal(2.5, 1, (24, n))
        half = anytime_width(d.std(ddof=1, axis=1), np.full(24, n), 0.05)
        rejects = np.array([bayes_factor(row, 0.0) >= 20 for row in d])
        if n == 4:
            assert np.isnan(half).all()
            assert not rejects.any()
        else:
            np.testing.assert_array_equal(np.abs(d.mean(axis=1)) > half, rejects)
            assert rejects.any()
