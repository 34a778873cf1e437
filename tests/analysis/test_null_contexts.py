"""Simulated studies in several contexts: the promises of their tests, within four standard errors of the simulation."""

import numpy as np
import pytest

from benchmarks.null_contexts import Contexts, rank_rates

Shares = np.ndarray


def is_at_most(shares: Shares, share: float) -> bool:
    return bool(shares.mean() < share + 4 * shares.std() / np.sqrt(len(shares)))


@pytest.mark.parametrize("contexts", [5, 10])
def test_ranks_of_arms_that_are_alike_tell_few_apart(contexts: int) -> None:
    rates = rank_rates(Contexts(contexts, 5), 500)
    assert is_at_most(rates["rejects"], 0.05)
    assert rates["rejects"].mean() > 0.01
    assert (rates["baseline"] <= rates["pair"]).all()
    assert (rates["pair"] <= rates["rejects"]).all()


def test_seeds_that_favour_an_arm_in_all_contexts_break_the_promise() -> None:
    assert rank_rates(Contexts(10, 5, luck=1.0), 100)["pair"].mean() > 0.5


def test_an_arm_that_is_better_in_ten_contexts_is_told() -> None:
    assert rank_rates(Contexts(10, 3, effect=3.0), 100)["second"].mean() > 0.9
    assert rank_rates(Contexts(10, 3, effect=-3.0), 100)["second"].mean() == 0


def test_the_same_seed_gives_the_same_studies() -> None:
    one, again, other = (next(Contexts(5, 3).studies(seed, 1)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
