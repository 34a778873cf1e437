"""Simulated studies: the promises of the verdicts, within four standard errors of the simulation."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.statistics.verdicts import power
from benchmarks.null_study import (
    Rate,
    Scenario,
    contrast_rates,
    equivalence_rates,
    heavy,
    null_rates,
    power_rates,
    skewed,
)

STUDIES = 3000
NORMAL = Scenario("normal", seeds=5, arms=10)


def is_at_most(rate: Rate, percent: float) -> bool:
    return rate.percent < percent + 4 * rate.error


@pytest.mark.parametrize(
    "scenario",
    [
        *(replace(NORMAL, seeds=seeds) for seeds in (3, 5, 10)),
        replace(NORMAL, arms=20, correlation=0.9),
        replace(NORMAL, half_effect=2.0),
        replace(NORMAL, scale=3.0),
        replace(NORMAL, missing=0.3),
    ],
)
def test_of_studies_in_twenty_one_at_most_errs_and_intervals_hold_what_they_promise(scenario: Scenario) -> None:
    rates = null_rates(scenario, STUDIES)
    assert is_at_most(rates.wrong, 5)
    assert 94 < rates.coverage.percent < 96
    assert rates.coverage.error < 0.25


def test_tails_and_a_skew_that_both_sides_share_make_the_test_cautious() -> None:
    for own in (heavy, skewed):
        rates = null_rates(replace(NORMAL, own=own, baseline_own=own), STUDIES)
        assert is_at_most(rates.wrong, 4)
        assert 95 < rates.coverage.percent < 98


def test_a_skew_of_wide_arms_alone_breaks_the_promise_of_both_tests() -> None:
    rates = null_rates(replace(NORMAL, seeds=10, own=skewed, scale=3.0), 1000)
    assert rates.wrong.percent > rates.wrong_by_flips.percent > 8
    assert rates.coverage.percent < 93


def test_without_an_effect_the_wrong_verdicts_are_not_none() -> None:
    assert null_rates(NORMAL, STUDIES).wrong.percent > 2.5


def test_what_an_unpaired_design_would_need_follows_from_the_correlation() -> None:
    rates = null_rates(replace(NORMAL, correlation=0.9), 500)
    assert rates.unpaired == pytest.approx(5 / (1 - 0.9), rel=0.1)


@pytest.mark.parametrize("seeds", [3, 8])
def test_equivalent_is_rarely_said_of_an_effect_that_matters_and_often_of_none(seeds: int) -> None:
    above, below, rightly = equivalence_rates(replace(NORMAL, seeds=seeds), 2.0, STUDIES)
    assert is_at_most(above, 5)
    assert is_at_most(below, 5)
    assert rightly.percent > {3: 5, 8: 98}[seeds]


def test_power_is_as_foretold_at_the_level_of_the_family() -> None:
    told, by_flips = power_rates(replace(NORMAL, seeds=10), 1.5, STUDIES)
    foretold = 100 * power(np.array(1.5), np.array(10), 0.05 / 10)
    assert told.percent == pytest.approx(foretold, abs=4 * told.error + 1)
    assert by_flips.percent < told.percent


def test_the_same_seed_gives_the_same_rates_and_another_seed_others() -> None:
    assert null_rates(NORMAL, 200, seed=1) == null_rates(NORMAL, 200, seed=1)
    assert null_rates(NORMAL, 200, seed=1) != null_rates(NORMAL, 200, seed=2)


def test_of_studies_of_contrasts_in_twenty_one_at_most_errs_and_all_intervals_hold_together() -> None:
    chain = tuple((arm + 1, arm) for arm in range(10))
    for scenario, margin in ((NORMAL, None), (NORMAL, 0.0), (replace(NORMAL, half_effect=-1.0), -1.0)):
        pairs = chain if margin != -1 else tuple((arm + 1, arm) for arm in range(1, 10, 2))
        wrong, covered = contrast_rates(scenario, pairs, STUDIES, margin=margin)
        assert is_at_most(wrong, 5)
        assert wrong.percent > 2
        assert is_at_most(Rate(100 - covered.percent, covered.error), 5)
