"""Looks of a race: limits, sequential p and the chance of what is to come, each against a slow way to find it."""

import numpy as np
import pytest
from scipy import stats

from cktf.looks import LEVELS, Race, Spending, limits, spent

LOOKS = (5, 8, 12, 20)


def critical(spending: str, level: float) -> list[float]:
    """The |t| at which each look rejects."""
    at = [np.exp(np.interp(np.log(level), np.log(LEVELS), np.log(own))) for own in limits(LOOKS, spending)]
    return [float(stats.t.isf(p / 2, n - 1)) for p, n in zip(at, LOOKS, strict=True)]


@pytest.mark.parametrize(
    ("spending", "level", "expected"),
    [  # of 8 million paths
        ("power2", 0.05, (6.36, 3.96, 3.00, 2.22)),
        ("power2", 0.0025, (13.9, 6.83, 4.81, 3.65)),
        ("obrien_fleming", 0.05, (25.2, 5.67, 3.30, 2.13)),
        ("pocock", 0.01, (6.14, 4.76, 3.93, 3.33)),
    ],
)
def test_critical_values_are_those_of_a_longer_simulation(
    spending: str, level: float, expected: tuple[float, ...]
) -> None:
    np.testing.assert_allclose(critical(spending, level), expected, rtol=0.012)


def test_all_of_a_level_is_spent_at_the_end_and_none_of_it_twice() -> None:
    for spending in Spending:
        np.testing.assert_allclose(spent(1.0, LEVELS, spending), LEVELS)
        shares = [float(spent(share, np.array(0.05), spending)) for share in (0.1, 0.25, 0.5, 0.9)]
        assert shares == sorted(shares)
    # By hand: a quarter of the seeds spends a sixteenth; of Pocock's ln(1 + 1.718 / 4) = 0.357.
    assert spent(0.25, np.array(0.05), "power2") == pytest.approx(0.003125)
    assert spent(0.25, np.array(1.0), "pocock") == pytest.approx(0.3573, abs=1e-4)
    early = 4 * (1 - stats.norm.cdf(2.2414 * 2))
    assert spent(0.25, np.array(0.05), "obrien_fleming") == pytest.approx(early, rel=0.01)


def first_rejections(race: Race, draws: np.random.Generator, studies: int) -> float:
    """The share of single comparisons without effect that any look rejects, found one look after the other."""
    values = draws.standard_normal((studies, 1, race.looks[-1])) + race.sign * race.margin
    none = np.zeros_like(values)
    found = [race.judged(values, none, np.full((studies, 1), look + 1)).p for look in range(len(race.looks))]
    assert (np.diff(found, axis=0) <= 0).all()  # what was rejected once stays so
    return float((found[-1] < 0.05).mean())


@pytest.mark.parametrize("race", [Race(LOOKS, "power2"), Race((3, 6), "pocock", 1, 0.5), Race((2, 9), "power2", -1)])
def test_any_look_errs_in_five_per_cent(race: Race) -> None:
    rate = first_rejections(race, np.random.default_rng(3), 20_000)
    assert rate == pytest.approx(0.05, abs=0.005)  # its standard error is 0.0015


def test_a_p_is_of_the_looks_that_a_comparison_has_had_and_of_its_own_pairs() -> None:
    race, draws = Race((4, 7), "power2", delta=2.0), np.random.default_rng(1)
    values, against = draws.standard_normal((2, 3, 7)) + np.array([1.0, 0.0])[:, np.newaxis, np.newaxis]
    values[1, 2] = np.nan
    found = race.judged(values, against, np.array([0, 1, 2]))
    assert list(found.n_pairs) == [0, 3, 7]
    assert np.isnan(found.p[0])
    d = (values - against)[1, [0, 1, 3]]
    nominal = stats.ttest_1samp(d, 0).pvalue
    # At the first look, the limit of a level is exactly what it spends: p of its own times (7 / 4) squared.
    assert found.p[1] == pytest.approx(min(1, nominal * (7 / 4) ** 2), rel=1e-3)
    sides = [stats.ttest_1samp(d, -2, alternative="greater").pvalue, stats.ttest_1samp(d, 2, alternative="less").pvalue]
    assert found.p_equivalence[1] == pytest.approx(min(1, max(sides) * (7 / 4) ** 2), rel=1e-3)
    last = (values - against)[2]
    assert (found.effect[2], found.sd[2]) == pytest.approx((last.mean(), last.std(ddof=1)))


def test_an_interval_leaves_out_nothing_exactly_where_p_of_the_look_is_below_the_level() -> None:
    race, values = Race((4, 7), "power2"), np.random.default_rng(2).normal(0.8, 1, (400, 1, 7))
    first = np.ones((400, 1), np.int64)
    found = race.judged(values, np.zeros(1), first)
    half = race.width(found.sd, found.n_pairs, first, 0.05)
    np.testing.assert_array_equal(np.abs(found.effect) > half, found.p < 0.05)
    assert 0 < (found.p < 0.05).sum() < 400


@pytest.mark.parametrize("race", [Race(LOOKS, "power2"), Race(LOOKS, "power2", 1, 0.2), Race(LOOKS, "power2", delta=1)])
def test_the_chance_of_a_decision_is_how_often_the_seeds_to_come_decide(race: Race) -> None:
    draws = np.random.default_rng(4)
    seen = draws.normal(0.45, 1, 8)
    found = race.judged(seen[np.newaxis], np.zeros(1), np.array([2]))
    # The mean's posterior under a flat prior, then the mean of the twelve seeds to come; the deviation as it was seen.
    n, sd = 20, seen.std(ddof=1)
    theta = seen.mean() + sd / np.sqrt(8) * draws.standard_t(7, 100_000)
    mean = (8 * seen.mean() + 12 * (theta + sd / np.sqrt(12) * draws.standard_normal(100_000))) / n
    error = sd / np.sqrt(n)

    def limit(is_one_sided: bool) -> float:
        own = limits(LOOKS, "power2", is_one_sided=is_one_sided)[-1]
        p = np.exp(np.interp(np.log(0.05), np.log(LEVELS), np.log(own)))
        return float(stats.t.isf(p if is_one_sided else p / 2, n - 1))

    decided = (mean - race.margin) / error > limit(True) if race.sign else np.abs(mean / error) > limit(False)
    if race.delta:
        decided |= np.abs(mean) + limit(True) * error < race.delta
    assert race.chance(found, 1, 0.05)[0] == pytest.approx(decided.mean(), abs=0.03)


def test_differences_that_are_equal_and_huge_scores_have_no_p_and_no_overflow() -> None:
    race = Race((3, 4), "power2")
    values = np.array([[1.5, 1.5, 1.5, 1.5], [1e200, 2e200, 3e200, 5e200]])
    found = race.judged(values, np.array([[1.0], [0.0]]), np.array([2, 2]))
    assert np.isnan(found.p[0])
    assert 0 < found.p[1] < 1
