"""Ranks over contexts: Demšar's worked example, slow references, and what becomes of missing cells."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from analysis import load
from analysis.statistics.effects import effects
from analysis.statistics.ranks import (
    FRIEDMAN,
    SKILLINGS_MACK,
    critical_difference,
    friedman,
    nemenyi_p,
    rank_error,
    ranks,
    ranks_in_blocks,
    without_rounding,
)
from analysis.statistics.skillings_mack import skillings_mack

DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip
"""AUC of four variants of C4.5 on 14 data sets (Demšar 2006, table 6), whose ranks show that 0.9751 is only printed as
0.975."""

CRITICAL = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
"""Arms to the critical value at 0.05 (Demšar 2006, table 5a), of which the last digit is not rounded."""


def test_the_worked_example_of_demsar() -> None:
    mean_ranks = ranks_in_blocks(DEMSAR, maximise=True).mean(axis=0)
    np.testing.assert_allclose(mean_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.1) == pytest.approx(1.12, abs=0.005)
    statistic, p = friedman(DEMSAR)
    # 9.28 as printed is without the correction for ties, which is 1 - ties / (k (k^2 - 1) n): here 1 - 78 / 840.
    assert statistic * (1 - 78 / 840) == pytest.approx(9.28, abs=0.005)
    assert p < 0.05


@pytest.mark.parametrize(("arms", "value"), CRITICAL.items())
def test_critical_values_are_those_printed(arms: int, value: float) -> None:
    assert critical_difference(arms, 10) / rank_error(arms, 10) == pytest.approx(value, abs=1e-3)


def test_friedman_s_statistic_from_its_definition() -> None:
    draws = np.random.default_rng(3)
    values = draws.integers(0, 6, (8, 5)).astype(float)  # with ties
    num_blocks, num_arms = values.shape
    ranked = np.zeros_like(values)
    for block, arm in itertools.product(range(num_blocks), range(num_arms)):
        better = sum(other > values[block, arm] for other in values[block])
        equal = sum(other == values[block, arm] for other in values[block])
        ranked[block, arm] = better + (equal + 1) / 2
    np.testing.assert_array_equal(ranks_in_blocks(values, maximise=True), ranked)
    np.testing.assert_array_equal(ranks_in_blocks(-values, maximise=False), ranked)
    middle = (num_arms + 1) / 2
    between = num_blocks * sum((ranked[:, arm].mean() - middle) ** 2 for arm in range(num_arms))
    within = sum((rank - middle) ** 2 for rank in ranked.ravel()) / (num_blocks * (num_arms - 1))
    statistic, p = friedman(values)
    assert statistic == pytest.approx(between / within)
    assert p == pytest.approx(stats.chi2.sf(between / within, num_arms - 1))


def test_nemenyi_s_p_is_the_chance_of_a_range_of_normal_draws() -> None:
    num_arms, num_blocks, difference = 4, 9, 1.7
    width = difference / rank_error(num_arms, num_blocks) * np.sqrt(2)
    # The range of k draws is below w where all lie within w above the smallest: k of them may be that.
    inside, _ = integrate.quad(
        lambda z: num_arms * stats.norm.pdf(z) * (stats.norm.cdf(z + width) - stats.norm.cdf(z)) ** (num_arms - 1),
        -8,
        8,
    )
    assert nemenyi_p(np.array(-difference), num_arms, num_blocks) == pytest.approx(1 - inside, abs=1e-6)
    edge = critical_difference(num_arms, num_blocks)
    assert nemenyi_p(np.array(edge), num_arms, num_blocks) == pytest.approx(0.05, abs=1e-6)


def test_of_arms_that_are_alike_few_studies_tell_any_apart() -> None:
    draws = np.random.default_rng(0)
    told = 0
    for _ in range(400):
        values = draws.standard_normal((6, 5))
        mean_ranks = ranks_in_blocks(values, maximise=True).mean(axis=0)
        told += friedman(values)[1] < 0.05 and np.ptp(mean_ranks) >= critical_difference(5, 6)
    assert 0 < told < 0.05 * 400 + 4 * np.sqrt(0.05 * 0.95 * 400)


def table_of(results: Any) -> pd.DataFrame:
    frame: pd.DataFrame = results.ranks.set_index("arm")
    return frame


def test_six_contexts_are_ranked_and_tested(many_contexts: Callable[..., Any]) -> None:
    results = load(many_contexts(6))
    table = table_of(results)
    values = results.effects.pivot(index="context", columns="arm", values="effect").assign(baseline=0.0)
    expected = values.rank(axis="columns", ascending=False).mean()
    np.testing.assert_allclose(table["mean_rank"], expected[table.index])
    assert table["mean_rank"].is_monotonic_increasing
    reference = stats.friedmanchisquare(*values.to_numpy().T)
    assert table["friedman"].iloc[0] == pytest.approx(reference.statistic)
    assert table["friedman_p"].iloc[0] == pytest.approx(reference.pvalue)
    assert set(table["test"]) == {FRIEDMAN}
    assert set(table["n_blocks"]) == {6}
    assert table.at["kd", "p_adjusted"] == pytest.approx(
        float(nemenyi_p(np.array(expected["kd"] - expected["baseline"]), 4, 6))
    )
    assert table["p_adjusted"]["kd"] < 0.05
    assert np.isnan(table["p_adjusted"]["baseline"])
    assert set(table["missing"]) == set(table["reason"]) == {""}


def test_p_against_the_baseline_is_no_smaller_than_friedman_s(many_contexts: Callable[..., Any]) -> None:
    table = table_of(load(many_contexts(5, effects={"kd": 0.0, "at": 0.0, "sp": 0.0})))
    compared = table[~table["is_baseline"]]
    assert (compared["p_adjusted"] >= compared["friedman_p"]).all()
    assert compared["friedman_p"].iloc[0] > 0.05


def test_arms_that_are_missing_in_a_context_are_ranked_in_the_others(many_contexts: Callable[..., Any]) -> None:
    results = load(many_contexts(6, skipped=[("pair 2", "sp")], failed=[("pair 4", "at")]))
    table = table_of(results)
    assert table["n_blocks"].to_dict() == {"kd": 6, "at": 5, "baseline": 6, "sp": 5}
    assert table.loc[["sp", "at"], "missing"].tolist() == ["not planned in pair 2", "no effect in pair 4"]
    assert set(table["test"]) == {SKILLINGS_MACK}
    assert set(table["reason"]) == {""}
    values = results.effects.pivot(index="context", columns="arm", values="effect").assign(baseline=0.0)
    in_blocks = values.rank(axis="columns", ascending=False)
    np.testing.assert_allclose(table["mean_rank"], in_blocks.mean()[table.index])
    expected = skillings_mack(in_blocks[values.columns].to_numpy())
    np.testing.assert_allclose(table[["friedman", "friedman_p"]].iloc[0], expected)
    assert table["critical_difference"].isna().all()
    compared = table[~table["is_baseline"]]
    assert (compared["p_adjusted"] >= compared["friedman_p"]).all()
    assert compared["p_adjusted"]["kd"] < 0.05


def test_a_context_without_a_baseline_ranks_nothing(many_contexts: Callable[..., Any]) -> None:
    table = table_of(load(many_contexts(6, failed=[("pair 0", "baseline")])))
    assert set(table["n_contexts"]) == set(table["n_blocks"]) == {5}
    assert set(table["missing"]) == {"no effect in pair 0"}


def test_few_contexts_are_ranked_and_not_tested(many_contexts: Callable[..., Any]) -> None:
    table = table_of(load(many_contexts(4, skipped=[("pair 2", "sp")])))
    assert table["mean_rank"].notna().all()
    assert set(table["test"]) == {"none"}
    assert table[["friedman", "critical_difference", "p_adjusted"]].isna().all(axis=None)
    assert set(table_of(load(many_contexts(7, effects={"kd": 3.0})))["test"]) == {"none"}, "two arms"


def test_an_arm_in_one_context_is_shown_without_a_test(contexts: Path) -> None:
    table = table_of(load(contexts))
    assert list(table.index) == ["baseline", "kd", "fsp"]
    assert table.at["fsp", "missing"] == "not planned in clothes"
    assert table.at["fsp", "n_blocks"] == 1
    assert set(table["test"]) == {"none"}


def test_arms_that_are_equal_everywhere_are_not_tested() -> None:
    rows = [(f"c{c}", arm, 0.0) for c in range(6) for arm in ("kd", "at")]
    effects = pd.DataFrame(rows, columns=["context", "arm", "effect"]).assign(against="baseline")
    trials = pd.concat([effects, pd.DataFrame({"context": [f"c{c}" for c in range(6)], "arm": "baseline"})])
    trials = trials.assign(
        arm_id=trials["context"] + trials["arm"], is_baseline=trials["arm"] == "baseline", stage="design"
    ).assign(seed=0, status="complete", test_accuracy=0.0)
    table = ranks(trials, effects)
    assert set(table["mean_rank"]) == {2.0}
    assert set(table["reason"]) == {"all arms are equal in every context"}
    assert table[["friedman", "p_adjusted"]].isna().all(axis=None)


def test_one_context_has_no_ranks(ablation: Path) -> None:
    assert load(ablation).ranks.empty


def test_ties_are_those_of_exact_differences(many_contexts: Callable[..., Any]) -> None:
    # Accuracies of 360 images: counts of the right ones, whose means over seeds are often equal.
    trials = load(many_contexts(6)).trials
    counts = np.random.default_rng(5).integers(300, 304, len(trials))
    table = ranks(trials.assign(test_accuracy=counts / 3.6), effects(trials.assign(test_accuracy=counts / 3.6)))
    sums = trials.assign(count=counts).pivot_table(index="context", columns="arm", values="count", aggfunc="sum")
    exact = sums.rank(axis="columns", ascending=False).mean()
    assert (sums.nunique(axis="columns") < 4).any(), "there are ties"
    np.testing.assert_allclose(table.set_index("arm")["mean_rank"][exact.index], exact)
    reference = stats.friedmanchisquare(*sums.to_numpy().T)
    assert table["friedman_p"].iloc[0] == pytest.approx(reference.pvalue)


def test_effects_are_tied_by_the_size_of_their_own_values_alone() -> None:
    # Of one context: two that differ by rounding at their size, two that do not, and one of another size.
    values = np.array([[0.3, 0.1 + 0.2, 0.31, 1e9, 1e9 + 1e-4, 1e9 + 1.0]])
    rounding = 1e-12 * np.array([[90.0, 90.0, 90.0, 1e9, 1e9, 1e9]])
    tied = without_rounding(values, rounding)
    np.testing.assert_array_equal(ranks_in_blocks(tied, maximise=False), [[1.5, 1.5, 3, 4.5, 4.5, 6]])
    np.testing.assert_array_equal(without_rounding(values[:, :3], rounding[:, :3]), tied[:, :3])


def test_a_diverged_arm_ties_no_others(many_contexts: Callable[..., Any]) -> None:
    trials = load(many_contexts(6)).trials
    is_broken = trials["arm"] == "sp"
    score = trials["test_accuracy"].where(~is_broken, 1e12 + trials["test_accuracy"])
    broken = trials.assign(test_accuracy=score)
    found = ranks(broken, effects(broken)).set_index("arm")["mean_rank"]
    without = trials[~is_broken]
    known = ranks(without, effects(without)).set_index("arm")["mean_rank"]
    assert found.drop("sp").to_dict() == (known + 1).to_dict()
