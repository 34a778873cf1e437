"""Contrasts of arms: their effects, families, alternatives and margins, by slow references."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import effects, load
from analysis.statistics.over_contexts import over_contexts
from cktf.errors import InputError
from cktf.verdicts import holm

DRAWS = np.random.default_rng(5)
SCORES = {
    (context, arm): 80 + level + DRAWS.normal(size=8)
    for context in ("digits", "clothes")
    for arm, level in (("plain", 0.0), ("kd", 2.0), ("cktf", 2.3), ("cktf+kd", 5.0))
}
FRAME = pd.DataFrame(
    [(*key, seed, score) for key, scores in SCORES.items() for seed, score in enumerate(scores)],
    columns=["context", "arm", "seed", "acc"],
)
CONTRASTS = [("cktf+kd", "kd"), ("cktf", "plain")]


def asked(**how: Any) -> pd.DataFrame:
    """Return the effects of the contrasts, or as told."""
    return effects(FRAME, **{"metric": "acc", "contrasts": CONTRASTS, **how})


def difference(row: "pd.Series[Any]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return a comparison's differences, seed by seed."""
    first, second = (SCORES[row["context"], row[side]] for side in ("arm", "against"))
    return np.asarray(first - second)


def test_contrasts_are_paired_t_tests_of_their_two_arms_and_one_family() -> None:
    found = asked()
    assert list(zip(found["context"], found["arm"], found["against"], strict=True)) == [
        (context, *pair) for context in ("digits", "clothes") for pair in CONTRASTS
    ]
    for _, row in found.iterrows():
        assert row["effect"] == pytest.approx(difference(row).mean())
        assert row["p"] == pytest.approx(stats.ttest_1samp(difference(row), 0).pvalue)
        low, high = stats.ttest_1samp(difference(row), 0).confidence_interval(1 - 0.05 / 4)
        assert (row["low_simultaneous"], row["high_simultaneous"]) == pytest.approx((low, high))
    np.testing.assert_allclose(found["p_holm"], holm(found["p"].to_numpy()))
    assert set(found["n_family"]) == {4}
    assert not found["against_baseline"].any()


def test_arms_named_by_numbers_are_contrasted_by_them() -> None:
    numbers = {"plain": 0, "kd": 1, "cktf": 2, "cktf+kd": 3}
    found = effects(FRAME.assign(arm=FRAME["arm"].map(numbers)), metric="acc", contrasts=[(3, 1), (2, 0)])  # type: ignore[list-item]
    pd.testing.assert_series_equal(found["p"], asked()["p"])


def test_a_family_may_be_that_of_a_context() -> None:
    found = asked(family="context")
    for _, rows in found.groupby("context"):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"].to_numpy()))
        half = stats.t.ppf(1 - 0.05 / 4, 7) * rows["sd"] / np.sqrt(8)
        np.testing.assert_allclose(rows["high_simultaneous"], rows["effect"] + half)
    assert set(found["n_family"]) == {2}


def test_all_against_the_baseline_may_stand_beside_contrasts() -> None:
    found = asked(contrasts=["baseline", ("cktf+kd", "kd"), ("kd", "plain")], baseline="plain")
    digits = found[found["context"] == "digits"]
    assert list(zip(digits["arm"], digits["against"], strict=True)) == [
        *(("kd", "plain"), ("cktf", "plain"), ("cktf+kd", "plain"), ("cktf+kd", "kd"))
    ], "what both entries ask for is compared once"
    assert digits["against_baseline"].tolist() == [True, True, True, False]
    alone = asked(contrasts=(), baseline="plain")
    pd.testing.assert_series_equal(alone["p"], found.loc[found["against_baseline"], "p"].reset_index(drop=True))


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize(("alternative", "margin"), [("better", 0.0), ("better", -1.5), ("worse", 0.5)])
def test_one_sided_tests_are_those_of_a_shifted_sample(alternative: str, margin: float, *, maximise: bool) -> None:
    found = asked(alternative=alternative, margin=margin, maximise=maximise)
    sign = 1 if (alternative == "better") == maximise else -1
    for _, row in found.iterrows():
        test = stats.ttest_1samp(sign * difference(row) - margin, 0, alternative="greater")
        assert row["p"] == pytest.approx(test.pvalue)
        assert row["statistic"] == pytest.approx(sign * test.statistic)
        low, high = stats.ttest_1samp(difference(row), 0).confidence_interval(0.9)
        assert (row["low"], row["high"], row["confidence"]) == pytest.approx((low, high, 0.9))
        assert (row["p"] < 0.05) == ((low > margin) if sign > 0 else (high < -margin))
        shifted = sign * difference(row) - margin
        flips = np.array(np.meshgrid(*[[1, -1]] * 8)).reshape(8, -1).T
        share = (flips @ shifted >= shifted.sum() - 1e-9).mean()
        assert row["p_flip"] == (pytest.approx(share) if shifted.mean() > 0 else 1.0)
        size = row["sd"] * _detectable(8, 0.05 / 4)
        assert row["detectable"] == pytest.approx(sign * (margin + size), rel=1e-6)
    told = {"better": "not worse" if margin < 0 else "helps", "worse": "hurts"}[alternative]
    assert set(found.loc[found["p_holm"] < 0.05, "verdict"]) <= {told}
    assert set(found.loc[found["p_holm"] >= 0.05, "verdict"]) <= {"undecided"}


def _detectable(n: int, level: float) -> float:
    """Return the effect in deviations that a one-sided test finds with 80% power, by bisection."""
    critical, least, most = stats.t.isf(level, n - 1), 0.0, 20.0
    for _ in range(60):
        middle = (least + most) / 2
        found = stats.nct.sf(critical, n - 1, middle * np.sqrt(n)) > 0.8
        least, most = (least, middle) if found else (middle, most)
    return most


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"contrasts": [("kd", "cktff")]},
            "contrasts kd, cktff: must be two arms that a context has; there are: plain",
        ),
        ({"contrasts": [("kd", "kd")]}, "contrasts kd, kd: must be the names of two arms"),
        ({"contrasts": ["kd"]}, "contrasts kd: must be the names of two arms; or 'baseline' alone"),
        ({"contrasts": [("kd", "cktf", "plain")]}, "must be the names of two arms"),
        ({"contrasts": [("kd", "cktf"), ("cktf", "kd")]}, "contrasts cktf, kd: stands there twice"),
        ({"contrasts": "kd,cktf"}, "contrasts: must be a list of pairs"),
        ({"contrasts": ["baseline"]}, "no arm is called 'baseline'"),
        ({"family": "arm"}, "family 'arm': must be one of study, context"),
        ({"alternative": "greater"}, "alternative 'greater': must be one of two_sided, better, worse"),
        ({"margin": 1.0}, "margin 1.0: only a one-sided alternative has one"),
        ({"alternative": "better", "margin": "1"}, "margin '1': must be a finite number"),
        ({"alternative": "better", "margin": float("nan")}, "margin nan: must be a finite number"),
        ({"alternative": "worse", "delta": 1.0}, "delta 1: is of two-sided comparisons"),
    ],
)
def test_what_does_not_fit_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        asked(**how)


def test_over_contexts_a_contrast_is_averaged_as_an_arm_is() -> None:
    found = asked()
    over = over_contexts(found, maximise=True)
    assert over["arm"].tolist() == ["cktf+kd against kd", "cktf against plain"]
    assert over["effect"].tolist() == pytest.approx([found["effect"][::2].mean(), found["effect"][1::2].mean()])


def test_trials_are_compared_within_the_contexts_that_have_both_arms(contexts: Path) -> None:
    trials = load(contexts).trials
    found = effects(trials, contrasts=[("kd", "fsp"), ("baseline", "kd")])
    assert list(zip(found["context"], found["arm"], found["against"], strict=True)) == [
        *(("digits", "kd", "fsp"), ("digits", "baseline", "kd"), ("clothes", "baseline", "kd"))
    ]
    assert found["against_baseline"].tolist() == [False, False, False]
