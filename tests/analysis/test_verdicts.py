"""Verdicts, the families they are adjusted in, and the seeds that an open one still needs."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from analysis.paired import paired_effects
from analysis.verdicts import MOST_MORE_SEEDS, decide, holm, more_seeds, power

NAN = np.nan


def test_holm_is_the_step_down_of_a_loop_and_that_of_statsmodels() -> None:
    families = np.random.default_rng(5).uniform(0, 0.2, (4, 9))
    for p, adjusted in zip(families, holm(families), strict=True):
        expected, largest = np.empty(9), 0.0
        for rank, index in enumerate(np.argsort(p)):
            largest = max(largest, min(1.0, (9 - rank) * p[index]))
            expected[index] = largest
        np.testing.assert_allclose(adjusted, expected)
        np.testing.assert_allclose(adjusted, multipletests(p, method="holm")[1])


def test_holm_computed_by_hand() -> None:
    # Three tests: 3 x 0.01, then 2 x 0.03, then max of that and 1 x 0.04.
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])


def test_what_could_not_be_tested_counts_in_the_family_and_stays_untested() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, NAN, 0.04])), [0.03, NAN, 0.08])
    assert np.isnan(holm(np.array([NAN]))).all()
    assert holm(np.empty(0)).size == 0


@pytest.mark.parametrize(
    ("effect", "p", "p_equivalence", "of_accuracy", "of_loss"),
    [
        (1.0, 0.01, NAN, "helps", "hurts"),
        (-1.0, 0.01, NAN, "hurts", "helps"),
        (1.0, 0.05, NAN, "undecided", "undecided"),
        (1.0, 0.2, 0.2, "undecided", "undecided"),
        (0.1, 0.2, 0.04, "equivalent", "equivalent"),
        (0.1, 0.01, 0.04, "equivalent", "equivalent"),
        (1.0, 0.01, 0.9, "helps", "hurts"),
        (NAN, NAN, NAN, "undecided", "undecided"),
    ],
)
def test_the_word_follows_from_both_tests_and_the_better_direction(
    effect: float, p: float, p_equivalence: float, of_accuracy: str, of_loss: str
) -> None:
    figures = (np.array([effect]), np.array([p]), np.array([p_equivalence]))
    assert decide(*figures, maximise=True).tolist() == [of_accuracy]
    assert decide(*figures, maximise=False).tolist() == [of_loss]


@pytest.mark.parametrize("level", [0.05, 0.005])
def test_power_is_that_of_statsmodels_and_of_a_simulation(level: float) -> None:
    for n, effect in ((3, 2.0), (5, 1.0), (20, 0.5)):
        expected = TTestPower().power(effect, n, level, alternative="two-sided")
        assert power(np.array(effect), np.array(n), level) == pytest.approx(expected, abs=5e-4)
    draws = np.random.default_rng(8)
    found = paired_effects(draws.normal(1.5, 1, (20_000, 6)), np.zeros(6))
    told = ((found.p < level) & (found.effect > 0)).mean()
    assert told == pytest.approx(power(np.array(1.5), np.array(6), level), abs=4 * 0.5 / 20_000**0.5)


def test_the_seeds_still_needed_are_the_first_with_enough_power() -> None:
    for effect, sd in ((0.5, 1.0), (1.2, 0.8), (-1.2, 0.8)):
        n = 5
        while power(np.array(abs(effect) / sd), np.array(n), 0.01) < 0.8:
            n += 1
        assert more_seeds(np.array([effect]), np.array([sd]), np.array([5]), 0.01) == n - 5


def test_enough_seeds_too_many_and_an_unknown_deviation() -> None:
    target, sd = np.array([9.0, 0.1, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, NAN])
    np.testing.assert_array_equal(
        more_seeds(target, sd, np.array([8, 8, 8, 1]), 0.01), [0, np.inf, np.inf, NAN]
    )
    nearly = more_seeds(np.array([0.3]), np.array([1.0]), np.array([5]), 0.05)
    assert 50 < nearly[0] <= MOST_MORE_SEEDS
