"""Verdicts, the families they are adjusted in, and the seeds that an open one still needs."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from analysis.statistics.paired import PairedEffects, equivalence_p, paired_effects
from analysis.statistics.verdicts import (
    MOST_MORE_SEEDS,
    POWER,
    equivalence_power,
    mde,
    more_seeds,
    power,
    sd_bound,
    seeds_needed,
)
from cktf.verdicts import Verdict, decide, holm

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


@pytest.mark.parametrize(("n", "effect"), [(2, 40.0), (3, 12.0), (5, 6.0), (12, 30.0), (4, 1e6)])
def test_power_stays_right_where_effects_are_large(n: int, effect: float) -> None:
    level, draws = 0.0025, np.random.default_rng(3)
    noise = draws.standard_normal((40_000, n))
    statistic = (effect + noise.mean(axis=1)) / (noise.std(axis=1, ddof=1) / np.sqrt(n))
    told = (statistic > stats.t.isf(level / 2, n - 1)).mean()
    assert float(power(np.array(effect), np.array(n), level)) == pytest.approx(told, abs=4 * 0.5 / 40_000**0.5)


def test_the_power_to_show_equivalence_is_that_of_a_simulation() -> None:
    draws = np.random.default_rng(6)
    for n, margin, level in ((3, 9.0, 0.01), (5, 2.0, 0.05), (8, 1.5, 0.01), (20, 0.2, 0.05)):
        found = paired_effects(draws.standard_normal((20_000, n)), np.zeros(n))
        shown = (equivalence_p(found, margin) < level).mean()
        foretold = equivalence_power(np.array(margin), np.array(n), level)
        assert shown == pytest.approx(foretold, abs=4 * 0.5 / 20_000**0.5)


@pytest.mark.parametrize(("n", "level"), [(2, 0.05), (3, 0.0025), (8, 0.0125), (40, 0.01)])
def test_the_detectable_effect_has_the_power_and_scales_with_the_deviation(n: int, level: float) -> None:
    found = mde(np.array(n), level, np.array(2.5))
    assert power(found / 2.5, np.array(n), level) == pytest.approx(POWER)
    if n > 3:  # of fewer, statsmodels finds none
        assert TTestPower().solve_power(None, n, level, POWER) == pytest.approx(found / 2.5, rel=1e-3)


def test_one_pair_and_an_unknown_deviation_have_no_detectable_effect() -> None:
    np.testing.assert_array_equal(mde(np.array([0, 1, 5]), 0.05, np.array([1.0, 1.0, NAN])), [NAN] * 3)
    assert mde(np.empty(0, np.int64), 0.05, np.empty(0)).shape == (0,)


def test_the_seeds_that_decide_are_the_first_with_enough_power_for_both_answers() -> None:
    for delta, sd in ((0.5, 1.0), (1.2, 0.8), (3.0, 0.8)):
        n = 2
        while min(f(np.array(delta / sd), np.array(n), 0.01) for f in (power, equivalence_power)) < POWER:
            n += 1
        assert seeds_needed(delta, np.array([sd]), np.array([200]), 0.01) == n
    for delta, sd in ((1e300, 1.0), (1e300, 1e-300)):
        assert seeds_needed(delta, np.array([sd]), np.array([200]), 0.01) == 2


def test_the_bound_of_a_deviation_is_above_it_as_often_as_it_says() -> None:
    bounds = [float(sd_bound(np.array(1.0), np.array(n), 0.8)) for n in (3, 5, 8, 12)]
    np.testing.assert_allclose(bounds, [2.12, 1.56, 1.35, 1.25], atol=0.005)
    sds = np.random.default_rng(1).standard_normal((20_000, 5)).std(axis=1, ddof=1)
    for share in (0.2, 0.8):
        held = (sd_bound(sds, np.full(20_000, 5), share) > 1).mean()
        assert held == pytest.approx(share, abs=4 * 0.4 / 20_000**0.5)


def test_more_seeds_are_those_of_the_upper_bound_without_those_that_there_are() -> None:
    n, sd = np.array([5, 12]), np.array([0.7, 0.7])
    needed = seeds_needed(1.0, sd_bound(sd, n, 0.8), n + 100, 0.01)
    np.testing.assert_array_equal(more_seeds(1.0, sd, n, 0.01), needed - n)
    few = more_seeds(9.0, np.array([1.0, 9.0, NAN]), np.array([8, 8, 1]), 0.01)
    np.testing.assert_array_equal(few[[0, 2]], [0, NAN])
    assert 0 < few[1] < MOST_MORE_SEEDS
    assert more_seeds(0.1, np.array([1.0]), np.array([8]), 0.01) == np.inf


@pytest.mark.parametrize("pilot", [5, 8])
def test_with_the_seeds_asked_for_most_arms_whose_effect_matters_are_decided(pilot: int) -> None:
    """Five arms, one of which is better by delta, one standard deviation: judged, extended, judged again."""
    draws = np.random.default_rng(pilot)
    decided, level = [], 0.05 / 5
    effects = np.array([1.0, 0, 0, 0, 0])
    for _ in range(150):
        # The noise of one baseline is in all differences.
        scores = effects[:, np.newaxis] + draws.standard_normal((5, 300)) / np.sqrt(2)
        baseline = draws.standard_normal(300) / np.sqrt(2)
        found = paired_effects(scores[:, :pilot], baseline[:pilot])
        if verdicts(found)[0] != Verdict.UNDECIDED:
            continue
        more = more_seeds(1.0, found.sd[:1], found.n_pairs[:1], level)[0]
        if not 0 < more < np.inf:
            continue
        n = pilot + int(more)
        decided.append(verdicts(paired_effects(scores[:, :n], baseline[:n]))[0] != Verdict.UNDECIDED)
    assert len(decided) > 80
    assert np.mean(decided) > 0.8 - 2 * 0.4 / len(decided) ** 0.5


def verdicts(found: PairedEffects) -> NDArray[Any]:
    return decide(found.effect, holm(found.p), holm(equivalence_p(found, 1.0)), maximise=True)


def test_words_of_one_sided_alternatives_depend_on_their_direction_and_margin() -> None:
    effect, p, none = np.array([1.0, -1.0, 1.0]), np.array([0.01, 0.01, 0.9]), np.full(3, np.nan)
    for alternative, margin, word in (
        *(("better", 0.0, "helps"), ("better", 0.5, "helps"), ("better", -0.5, "not worse")),
        *(("worse", 0.0, "hurts"), ("worse", -0.5, "not better")),
    ):
        for maximise in (True, False):
            found = decide(effect, p, none, maximise=maximise, alternative=alternative, margin=margin)
            assert found.tolist() == [word, word, "undecided"]
