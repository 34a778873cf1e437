"""The test of Skillings and Mack: their own example, Friedman's where none is missing, all orders of the ranks."""

import itertools

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.ranks import rank_error, ranks_in_blocks
from analysis.statistics.skillings_mack import skillings_mack, standardised_differences

NONE = np.nan
ASSEMBLY = np.array(
    [
        [3.2, 4.1, 3.8, 4.2], [3.1, 3.9, 3.4, 4.0], [4.3, 3.5, 4.6, 4.8], [3.5, 3.6, 3.9, 4.0], [3.6, 4.2, 3.7, 3.9],
        [4.5, 4.7, 3.7, NONE], [NONE, 4.2, 3.4, NONE], [4.3, 4.6, 4.4, 4.9], [3.5, NONE, 3.7, 3.9],
    ]
)  # fmt: skip
"""Times of four methods of assembly in nine groups (Skillings and Mack 1981)."""


def test_the_worked_example_of_skillings_and_mack() -> None:
    statistic, p = skillings_mack(ranks_in_blocks(ASSEMBLY, maximise=False))
    assert statistic == pytest.approx(15.493, abs=5e-4)
    assert p == pytest.approx(0.0014, abs=5e-5)


def test_of_complete_blocks_it_is_friedman_s_also_with_ties() -> None:
    values = np.random.default_rng(0).integers(0, 4, (8, 5)).astype(float)
    in_blocks = ranks_in_blocks(values, maximise=True)
    found = stats.friedmanchisquare(*values.T)
    assert skillings_mack(in_blocks) == pytest.approx((float(found.statistic), float(found.pvalue)))
    mean_ranks = in_blocks.mean(axis=0)
    expected = (mean_ranks - mean_ranks[2]) / rank_error(5, 8)
    np.testing.assert_allclose(standardised_differences(in_blocks, 2)[[0, 1, 3, 4]], expected[[0, 1, 3, 4]])
    assert np.isnan(skillings_mack(np.full((6, 3), 2.0))).all(), "all are tied"


def test_sums_of_ranks_vary_as_they_do_over_all_orders() -> None:
    in_blocks = np.array([[1.0, 2.5, 2.5, 4.0], [NONE, 1.0, 2.0, NONE], [1.0, NONE, 2.0, 3.0]])
    orders = []
    for block in in_blocks:
        there = np.isfinite(block)
        shuffled = []
        for order in itertools.permutations(block[there]):
            row = np.zeros(4)
            row[there] = np.sqrt(12 / (there.sum() + 1)) * (np.array(order) - (there.sum() + 1) / 2)
            shuffled.append(row)
        orders.append(shuffled)
    sums = np.array([np.sum(rows, axis=0) for rows in itertools.product(*orders)])
    covariance = np.cov(sums.T, bias=True)
    seen = np.sum([rows[0] for rows in orders], axis=0)  # the first of all orders is the one that is seen
    statistic, p = skillings_mack(in_blocks)
    assert statistic == pytest.approx(float(seen @ np.linalg.pinv(covariance) @ seen))
    assert p == pytest.approx(float(stats.chi2.sf(statistic, 3)))
