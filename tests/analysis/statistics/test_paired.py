"""Paired effects and their tests, checked by hand, by scipy, by statsmodels and by loops."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from analysis.statistics.paired import equivalence_p, hedges_correction, paired_effects, sign_flip_p


def test_a_paired_test_computed_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, sd 1, t = 2 sqrt(3). With two degrees of freedom,
    # P(|t| > x) = 1 - x / sqrt(x^2 + 2).
    found = paired_effects(np.array([11.0, 22.0, 33.0]), np.array([10.0, 20.0, 30.0]))
    t = 2 * 3**0.5
    numbers = [found.n_pairs, found.effect, found.sd, found.mean, found.baseline_mean]
    assert [float(number) for number in numbers] == [3, 2.0, 1.0, 22.0, 20.0]
    assert found.statistic == pytest.approx(t)
    assert found.p == pytest.approx(1 - t / (t**2 + 2) ** 0.5)
    assert found.high == pytest.approx(2 + 4.302653 / 3**0.5, rel=1e-6)
    assert found.correlation == pytest.approx(1.0)
    # Variances 121 and 100 against 1: an unpaired design would need 221 times the seeds.
    assert found.n_unpaired == pytest.approx(3 * 221)
    # The correction of two degrees of freedom is Gamma(1) / Gamma(1/2) = 1 / sqrt(pi).
    assert found.hedges_gz == pytest.approx(2 / np.pi**0.5)


def test_the_paired_test_is_that_of_scipy() -> None:
    draws = np.random.default_rng(1)
    baseline = draws.normal(90, 1, 8)
    values = baseline + draws.normal(0.3, 0.5, 8)
    reference = stats.ttest_rel(values, baseline)
    found = paired_effects(values, baseline)
    assert (found.statistic, found.p) == pytest.approx((reference.statistic, reference.pvalue))
    interval = reference.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.correlation == pytest.approx(stats.pearsonr(values, baseline).statistic)
    assert found.standard_error == pytest.approx(stats.sem(values - baseline))


def test_many_contrasts_with_gaps_are_those_of_a_loop_over_their_pairs() -> None:
    draws = np.random.default_rng(2)
    values, baseline = draws.normal(size=(4, 3, 9)), draws.normal(size=(4, 1, 9))
    values[draws.random(values.shape) < 0.2] = np.nan
    baseline[draws.random(baseline.shape) < 0.2] = np.inf
    found = paired_effects(values, baseline)
    for study, arm in product(range(4), range(3)):
        both = np.isfinite(values[study, arm]) & np.isfinite(baseline[study, 0])
        alone = paired_effects(values[study, arm][both], baseline[study, 0][both])
        assert alone.n_pairs == both.sum() > 1
        for name, field in vars(found).items():
            assert field[study, arm] == pytest.approx(getattr(alone, name)), name


SCALES = [1e-12, 3e-5, 0.01, 1.0, 90.0, 1e5, 1e9, 1e12]


def test_contrasts_of_any_scales_give_together_what_each_gives_alone() -> None:
    draws = np.random.default_rng(20)
    scales = np.array([*SCALES, 1e-200, 1e200])[draws.permutation(len(SCALES) + 2)]
    baseline = scales[:, np.newaxis] * (5 + draws.normal(size=(len(scales), 12)))
    values = baseline + scales[:, np.newaxis] * (0.5 + 0.1 * draws.normal(size=baseline.shape))
    values[draws.random(values.shape) < 0.2] = np.nan
    values[2], baseline[2] = np.nan, np.nan
    values[3] = baseline[3] + 0.25 * scales[3]
    found = paired_effects(values, baseline)
    for row in range(len(scales)):
        # Without the seeds that only the others have, too: nothing changes, to the last bit.
        there = np.isfinite(values[row])
        for seeds in (slice(None), there):
            alone = paired_effects(values[row, seeds], baseline[row, seeds])
            for name, field in vars(found).items():
                np.testing.assert_array_equal(field[row], getattr(alone, name), err_msg=name)


@pytest.mark.parametrize("scale", [1e-200, *SCALES, 1e200])
def test_the_test_knows_no_unit(scale: float) -> None:
    draws = np.random.default_rng(21)
    baseline = draws.normal(5, 1, 6)
    values = baseline + draws.normal(0.3, 0.4, 6)
    one, other = paired_effects(values, baseline), paired_effects(values * scale, baseline * scale)
    for name in ("correlation", "n_unpaired", "hedges_gz", "statistic", "p"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)
    for name in ("mean", "baseline_mean", "effect", "sd", "low", "high"):
        assert getattr(other, name) / scale == pytest.approx(getattr(one, name), rel=1e-9)


def test_a_small_difference_of_large_values_is_no_rounding() -> None:
    baseline = 1e9 + np.array([0.1, 0.7, 0.4, 0.9])
    found = paired_effects(baseline + 1.03 + np.array([0.01, -0.01, 0.02, -0.02]), baseline)
    assert found.effect == pytest.approx(1.03, abs=1e-6)
    assert found.p < 1e-4


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, -0.5, float("nan")])
def test_a_confidence_that_is_no_share_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence: must be between 0 and 1"):
        paired_effects(np.array([1.0, 2.0]), np.array([0.5, 1.0]), confidence)


def test_the_interval_leaves_out_zero_exactly_where_p_is_below_its_level() -> None:
    draws = np.random.default_rng(3)
    found = paired_effects(draws.normal(0.8, 1, (2000, 5)), draws.normal(0, 1, (2000, 5)))
    leaves_out = (found.low > 0) | (found.high < 0)
    np.testing.assert_array_equal(leaves_out, found.p < 0.05)
    assert 100 < leaves_out.sum() < 1900


def test_pairing_sees_an_effect_that_the_spread_of_seeds_would_hide() -> None:
    baseline = np.array([80.0, 85.0, 90.0, 95.0, 99.0])
    values = baseline + np.array([0.9, 1.1, 1.0, 1.05, 0.95])
    found = paired_effects(values, baseline)
    assert found.p < 1e-4
    assert stats.ttest_ind(values, baseline).pvalue > 0.5
    unpaired_error = np.sqrt((values.var(ddof=1) + baseline.var(ddof=1)) / found.n_unpaired)
    assert found.standard_error == pytest.approx(unpaired_error)


@pytest.mark.parametrize(
    ("values", "baseline", "effect"),
    [
        ([], [], np.nan),
        ([91.0], [90.0], 1.0),
        ([91.0, 91.0, 91.0], [91.0, 91.0, 91.0], 0.0),
        ([0.1 + 0.2, 0.4], [0.2, 0.3], 0.1),
    ],
)
def test_without_information_on_the_error_there_is_no_p(
    values: list[float], baseline: list[float], effect: float
) -> None:
    found = paired_effects(np.array(values), np.array(baseline))
    assert found.effect == pytest.approx(effect, nan_ok=True)
    figures = [found.low, found.high, found.p, found.statistic, found.hedges_gz, found.n_unpaired]
    assert np.isnan([*figures, found.standard_error, equivalence_p(found, 5.0)]).all()


def test_a_constant_side_has_no_correlation_but_a_test() -> None:
    found = paired_effects(np.array([91.0, 92.0, 93.5]), np.array([90.0, 90.0, 90.0]))
    assert np.isnan(found.correlation)
    assert 0 < found.p < 1


@pytest.mark.parametrize("delta", [0.2, 1.0])
def test_equivalence_is_that_of_statsmodels(delta: float) -> None:
    draws = np.random.default_rng(4)
    baseline = draws.normal(90, 1, 7)
    values = baseline + draws.normal(0.1, 0.5, 7)
    found = paired_effects(values, baseline)
    assert equivalence_p(found, delta) == pytest.approx(ttost_paired(values, baseline, -delta, delta)[0])


def test_equivalence_is_an_interval_of_90_per_cent_within_the_margin() -> None:
    draws = np.random.default_rng(5)
    values, baseline = draws.normal(0.3, 1, (2000, 6)), draws.normal(0, 1, (2000, 6))
    found = paired_effects(values, baseline, confidence=0.9)
    is_within = (found.low > -1) & (found.high < 1)
    np.testing.assert_array_equal(equivalence_p(found, 1.0) < 0.05, is_within)
    assert 50 < is_within.sum() < 1950


def test_hedges_correction_makes_the_standardised_effect_unbiased() -> None:
    draws = np.random.default_rng(6)
    found = paired_effects(draws.normal(0.8, 1, (40_000, 5)), np.zeros(5))
    error = found.hedges_gz.std() / 200
    assert abs(found.hedges_gz.mean() - 0.8) < 4 * error
    assert abs((found.effect / found.sd).mean() - 0.8) > 10 * error
    assert np.isnan(hedges_correction(np.array([0, 1]))).all()


def test_sign_flips_are_counted_as_in_a_loop_whatever_is_missing() -> None:
    draws = np.random.default_rng(7)
    differences = draws.normal(0.5, 1, (3, 8))
    differences[1, 2] = differences[2, [0, 7]] = np.nan
    for row, p in zip(differences, sign_flip_p(differences), strict=True):
        there = row[~np.isnan(row)]
        sums = [abs(np.dot(signs, there)) for signs in product((-1, 1), repeat=len(there))]
        assert p == pytest.approx(np.mean(np.array(sums) >= abs(there.sum()) - 1e-12))


def test_sign_flips_of_one_sign_have_the_smallest_p_and_few_pairs_none() -> None:
    assert sign_flip_p(np.arange(1.0, 7.0)) == 2 / 2**6
    assert np.isnan(sign_flip_p(np.arange(1.0, 6.0)))
    assert np.isnan(sign_flip_p(np.ones(21)))
    assert sign_flip_p(np.ones(20)) == 2 / 2**20


def test_equal_sums_count_despite_rounding() -> None:
    # Of 0.1, 0.2, 0.3 and five larger ones, flips of (0.1, 0.2) against 0.3 leave the sum as it was.
    differences = np.array([0.1, 0.2, -0.3, 5.0, 6.0, 7.0])
    assert sign_flip_p(differences) == sign_flip_p(differences * 10)
