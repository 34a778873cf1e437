"""Arms without a seed in common: Welch's test, beside SciPy's, and what is made of it for verdicts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.effects import effects
from analysis.statistics.unpaired import welch_effects
from analysis.statistics.verdicts import POWER
from cktf.errors import InputError

SEEDS = {"none": range(5), "kd": range(10, 17), "at": range(3, 8)}


@pytest.fixture
def table() -> pd.DataFrame:
    draws = np.random.default_rng(1)
    rows = [(arm, seed, draws.normal(arm == "kd", 1 + (arm != "none"))) for arm, own in SEEDS.items() for seed in own]
    return pd.DataFrame(rows, columns=["arm", "seed", "acc"])


def of(table: pd.DataFrame, arm: str) -> Any:
    return table.loc[table["arm"] == arm, "acc"].to_numpy()


def test_arms_that_share_no_seed_are_judged_by_welch_s_test(table: pd.DataFrame) -> None:
    found = effects(table, metric="acc", baseline="none", delta=4.0).set_index("arm")
    assert found["test"].to_dict() == {"kd": "Welch's t", "at": "paired t"}
    kd, other = of(table, "kd"), of(table, "none")
    expected = stats.ttest_ind(kd, other, equal_var=False)
    row = found.loc["kd"]
    assert (row["n_pairs"], row["n_arm"], row["n_baseline"], row["missing"]) == (0, 7, 5, "")
    np.testing.assert_allclose(row[["statistic", "p", "df"]].to_numpy().tolist(), [*expected, expected.df])
    np.testing.assert_allclose(row[["low", "high"]].to_numpy().tolist(), expected.confidence_interval())
    wide = expected.confidence_interval(0.975)
    np.testing.assert_allclose(row[["low_simultaneous", "high_simultaneous"]].to_numpy().tolist(), wide)
    above = stats.ttest_ind(kd, other - 4.0, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(kd, other + 4.0, equal_var=False, alternative="less").pvalue
    assert row["p_equivalence"] == pytest.approx(max(above, below))
    assert row[["p_anytime", "p_flip", "correlation", "variance_left", "n_unpaired", "hedges_gz"]].isna().all()
    error = np.sqrt(kd.var(ddof=1) / 7 + other.var(ddof=1) / 5)
    reach = stats.t.isf(0.0125, expected.df)
    assert stats.nct.sf(reach, expected.df, row["detectable"] / error) == pytest.approx(POWER, abs=1e-6)
    alone = effects(table[table["arm"] != "kd"], metric="acc", baseline="none", delta=4.0).set_index("arm")
    np.testing.assert_allclose(found["p"]["at"], alone["p"]["at"], rtol=1e-14)


def test_what_is_unpaired_is_asked_for_or_follows_from_the_seeds_and_never_from_results(table: pd.DataFrame) -> None:
    asked = effects(table, metric="acc", baseline="none", unpaired=True, alternative="better").set_index("arm")
    assert set(asked["test"]) == {"Welch's t"}
    expected = stats.ttest_ind(of(table, "at"), of(table, "none"), equal_var=False, alternative="greater")
    assert asked.at["at", "p"] == pytest.approx(expected.pvalue)
    # The two seeds that both have are lost: still it is the paired test that cannot be made.
    lost = table.assign(acc=table["acc"].where((table["arm"] != "at") | (table["seed"] > 4)))
    row = effects(lost, metric="acc", baseline="none").set_index("arm").loc["at"]
    assert (row["test"], row["reason"]) == ("none", "no seed is complete in both arms")
    row = effects(lost, metric="acc", baseline="none", unpaired=True).set_index("arm").loc["at"]
    assert (row["test"], row["n_arm"], row["n_missing"], row["missing"]) == ("Welch's t", 3, 2, "seeds 3, 4: failed")
    with pytest.raises(InputError, match="is judged by its paired seeds"):
        effects(table, metric="acc", baseline="none", unpaired=True, looks=[2, 4])


def test_of_equal_variances_it_is_the_two_sample_t_of_few_values_cautious_and_of_none_that_vary_no_test() -> None:
    draws = np.random.default_rng(3)
    arm, other = draws.standard_normal(6), draws.standard_normal(6)
    other = other.mean() + (other - other.mean()) * arm.std() / other.std()
    found = welch_effects(arm, other)
    assert float(found.df) == pytest.approx(10)
    assert float(found.p) == pytest.approx(stats.ttest_ind(arm, other).pvalue)
    few = welch_effects(arm[:3], draws.standard_normal(20))
    assert float(few.df) == 2
    assert float(few.p) == pytest.approx(2 * stats.t.sf(abs(float(few.statistic)), 2))
    values = np.array([[1.0] * 6, [1.0, *[np.nan] * 5], [5.0] * 6])
    found = welch_effects(values, np.array([other, other, [1.0] * 6]))
    assert np.isnan(found.p).tolist() == [False, True, True]
    assert found.df[0] == pytest.approx(5)
    np.testing.assert_allclose(found.effect, [1 - other.mean(), 1 - other.mean(), 4.0])
    np.testing.assert_allclose(welch_effects(arm * 1e200, other * 1e200).p, welch_effects(arm, other).p)
