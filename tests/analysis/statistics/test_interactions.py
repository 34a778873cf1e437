"""Main effects and interactions of a grid, by formulas of cell means and of contrasts within each seed."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from analysis import load
from analysis.statistics.interactions import VANISHES, contrasts, factorial_cells, interactions
from analysis.statistics.seed_contrasts import CLUSTERED, WITHIN, WITHOUT_ERROR
from cktf.rows import Status
from cktf.verdicts import holm

FACTORS = ["objective.cktf.temperature", "objective.cktf.theta"]


def scores_of(trials: pd.DataFrame) -> pd.DataFrame:
    columns = {"param.objective.cktf.temperature": "a", "param.objective.cktf.theta": "b", "test_accuracy": "y"}
    return trials.rename(columns=columns)[["a", "b", "y", "seed"]]


def test_effects_are_differences_of_cell_means(grid: Path) -> None:
    trials = load(grid).trials
    table = interactions(trials, factors=FACTORS).set_index("contrast")
    mean = scores_of(trials).groupby(["a", "b"])["y"].mean()
    for a in (0.5, 1.0):
        expected = np.mean([mean[a, b] - mean[0.1, b] for b in (0.1, 0.0)])
        assert table.at[f"cktf.temperature={a}", "effect"] == pytest.approx(expected)
        expected = (mean[a, 0.0] - mean[0.1, 0.0]) - (mean[a, 0.1] - mean[0.1, 0.1])
        assert table.at[f"cktf.temperature={a} × cktf.theta=0.0", "effect"] == pytest.approx(expected)
    expected = np.mean([mean[a, 0.0] - mean[a, 0.1] for a in (0.1, 0.5, 1.0)])
    assert table.at["cktf.theta=0.0", "effect"] == pytest.approx(expected)
    assert table["against"].tolist()[2:4] == ["cktf.theta=0.1", "cktf.temperature=0.1, cktf.theta=0.1"]


def test_known_effects_lie_in_their_intervals_and_the_interaction_is_told(grid: Path) -> None:
    table = load(grid).interactions
    true = [0.0, -0.5, 0.0, 0.0, 3.0]  # theta 0: -1 at two temperatures, +2 at the third
    for (_, row), effect in zip(table.iterrows(), true, strict=True):
        assert row["low"] - 0.1 < effect < row["high"] + 0.1
    assert table["kind"].tolist() == ["main"] * 3 + ["interaction"] * 2
    assert table["p_holm"].iloc[4] < 0.01
    assert table["p_holm"].iloc[3] > 0.05
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))


def test_a_contrast_is_judged_by_how_it_varies_from_seed_to_seed(grid: Path) -> None:
    trials = load(grid).trials
    table = interactions(trials, factors=FACTORS).set_index("contrast")
    of_seed = scores_of(trials).pivot(index="seed", columns=["a", "b"], values="y")
    by_hand: dict[str, Any] = {
        "cktf.temperature=0.5": sum(of_seed[0.5, b] - of_seed[0.1, b] for b in (0.1, 0.0)) / 2,
        "cktf.theta=0.0": sum(of_seed[a, 0.0] - of_seed[a, 0.1] for a in (0.1, 0.5, 1.0)) / 3,
        "cktf.temperature=1.0 × cktf.theta=0.0": (
            of_seed[1.0, 0.0] - of_seed[1.0, 0.1] - of_seed[0.1, 0.0] + of_seed[0.1, 0.1]
        ),
    }
    for name, values in by_hand.items():
        expected = stats.ttest_1samp(values, 0)
        row = table.loc[name]
        assert (row["statistic"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
        assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert set(table["model"]) == {WITHIN}
    assert table["df_error"].tolist() == [4] * 5
    assert table["n_seeds"].tolist() == [5] * 5
    assert table["n"].tolist() == [20, 20, 30, 20, 20], "trials of the arms that a contrast has"


def test_the_joint_test_is_that_of_hotelling(grid: Path) -> None:
    trials = load(grid).trials
    row = interactions(trials, factors=FACTORS).iloc[0]
    of_seed = scores_of(trials).groupby(["seed", "a"])["y"].mean().unstack()
    found = np.stack([of_seed[a] - of_seed[0.1] for a in (0.5, 1.0)], axis=1)
    mean, inverse = found.mean(axis=0), np.linalg.inv(np.cov(found, rowvar=False))
    expected = 5 * mean @ inverse @ mean * (5 - 2) / (2 * 4)
    assert (row["factor_f"], row["factor_df"]) == pytest.approx((expected, 2))
    assert row["factor_p"] == pytest.approx(stats.f.sf(expected, 2, 3))
    two = trials[trials["seed"] < 2]
    table = interactions(two, factors=FACTORS)
    assert table["factor_reason"].tolist() == [
        *["too few seeds to test 2 contrasts together"] * 2,
        "",
        *["too few seeds to test 2 contrasts together"] * 2,
    ]
    assert table["p"].notna().all()


def test_where_too_few_seeds_have_all_arms_errors_are_clustered_by_seed(grid: Path) -> None:
    trials = load(grid).trials
    lost = trials.index[trials["is_baseline"] & (trials["seed"] < 2)]  # the baseline of two seeds of five
    table = interactions(trials.drop(index=lost), factors=FACTORS).set_index("contrast")
    assert set(table["model"]) == {CLUSTERED}
    assert (table["df_error"] < 4).all()
    assert table["p"].notna().all()
    one = trials.drop(index=lost[:1])
    table = interactions(one, factors=FACTORS)
    assert set(table["model"]) == {WITHIN}, "four of five seeds are enough"
    assert set(table["df_error"]) == {3}


def test_what_another_context_or_another_arm_scores_changes_nothing(grid: Path) -> None:
    trials = load(grid).trials
    table = interactions(trials, factors=FACTORS)
    wild = trials.copy()
    is_other = wild["param.objective.cktf.temperature"] == 1.0
    wild.loc[is_other, "test_accuracy"] = 1e8 * (1 + wild.loc[is_other, "seed"])
    beside = trials.assign(context="other", arm_id="other-" + trials["arm_id"], test_accuracy=1e9)
    again = interactions(pd.concat([wild, beside]), factors=FACTORS).iloc[: len(table)]
    names = ["effect", "low", "high", "statistic", "p"]
    has_not = ["cktf.temperature=0.5", "cktf.temperature=0.5 × cktf.theta=0.0"]
    same = table["contrast"].isin(has_not)
    pd.testing.assert_frame_equal(again.loc[same, names], table.loc[same, names])


def test_of_two_levels_and_two_seeds_computed_by_hand() -> None:
    # Two arms, two seeds: differences 1 and 3, so 2 with a standard error of 1 and one degree of freedom: p of |t| > 2
    # is 1 - 2 atan(2) / pi.
    rows = [(arm, seed) for arm in ("baseline", "x") for seed in (0, 1)]
    trials = pd.DataFrame(rows, columns=["arm_id", "seed"])
    trials["test_accuracy"] = [90.0, 91.0, 91.0, 94.0]
    trials["param.f"] = [1, 1, 2, 2]
    trials["arm"], trials["is_baseline"] = trials["arm_id"], trials["arm_id"] == "baseline"
    trials = trials.assign(context="", stage="design", status="complete")
    (row,) = interactions(trials, factors=["f"]).to_dict("records")
    assert (row["effect"], row["statistic"]) == pytest.approx((2.0, 2.0))
    assert row["p"] == pytest.approx(1 - 2 * np.arctan(2) / np.pi)
    assert row["high"] == pytest.approx(2 + 12.7062047)


def test_a_baseline_outside_the_grid_is_no_arm_of_it(grid: Path) -> None:
    trials = load(grid).trials
    cells, reference = factorial_cells(trials, FACTORS)
    assert len(cells) == 6
    assert reference == ("0.1", "0.1")
    trials.loc[trials["is_baseline"], "param.objective.cktf.temperature"] = 7.0
    left = trials[trials["param.objective.cktf.temperature"] != 0.1]
    cells, reference = factorial_cells(left, FACTORS)
    assert len(cells) == 4
    assert reference == ("0.5", "0.1")
    assert factorial_cells(trials[trials["is_baseline"]], FACTORS) == ({}, ())


def test_weights_of_an_interaction_by_hand() -> None:
    cells: list[tuple[str, ...]] = [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]
    main, other, both = contrasts(cells, ["f", "g"], ("1", "x"))
    assert main.weights.tolist() == [-0.5, -0.5, 0.5, 0.5]
    assert other.weights.tolist() == [-0.5, 0.5, -0.5, 0.5]
    assert both.weights.tolist() == [1, -1, -1, 1]


def test_an_arm_without_results_leaves_what_does_not_need_it(grid: Path) -> None:
    trials = load(grid).trials
    trials.loc[trials["arm"] == "temperature=0.5, theta=0.0", "status"] = Status.FAILED
    table = interactions(trials, factors=FACTORS).set_index("contrast")
    gone = ["cktf.temperature=0.5", "cktf.theta=0.0", "cktf.temperature=0.5 × cktf.theta=0.0"]
    assert table["effect"].isna().to_dict() == {name: name in gone for name in table.index}
    assert set(table.loc[gone, "reason"]) == {"an arm that it needs has no complete trial"}
    assert table["factor_p"].isna().all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"seeds": 1}, "one seed has all arms that it needs: no interval"), ({"noise": 0.0}, WITHOUT_ERROR)],
)
def test_without_an_error_there_is_an_effect_and_no_test(
    grid_writer: Callable[..., Any], options: dict[str, Any], reason: str
) -> None:
    table = load(grid_writer(**options).close()).interactions
    assert len(table) == 5
    assert table["effect"].notna().all()
    assert table[["low", "high", "p", "p_holm", "factor_p"]].isna().all(axis=None)
    assert set(table["reason"]) == {reason}


def long_format(trials: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Return scores with each factor as -1 at the baseline's level and 1 at the other."""
    reference = trials[trials["is_baseline"]].iloc[0]
    columns = {
        letter: (trials[f"param.{factor}"] != reference[f"param.{factor}"]) * 2 - 1
        for letter, factor in zip("abcd", factors, strict=False)
    }
    return pd.DataFrame({"y": trials["test_accuracy"], "seed": trials["seed"], **columns})


def test_in_a_fraction_main_effects_and_sums_of_interactions_are_estimated(fraction: Path) -> None:
    results = load(fraction)
    table = results.interactions
    assert table["factor"].tolist()[:4] == results.facts.study.factors
    assert table["aliases"].tolist() == [
        *[""] * 4,
        "cktf.pairing=first × epochs=2",
        "cktf.theta=0.0 × epochs=2",
        "cktf.theta=0.0 × cktf.pairing=first",
    ]
    formula = "y ~ a + b + c + d + a:b + a:c + a:d + C(seed)"
    reference = smf.ols(formula, long_format(results.trials, results.facts.study.factors)).fit()
    names = ["a", "b", "c", "d", "a:b", "a:c", "a:d"]
    scale = np.array([2] * 4 + [4] * 3)  # from -1 to 1 are two steps; a difference of differences are four
    np.testing.assert_allclose(table["effect"], reference.params[names] * scale)
    wide = long_format(results.trials, results.facts.study.factors)
    for row, name in zip(table.to_dict("records"), names, strict=True):
        sign = np.prod([wide[letter] for letter in name.split(":")], axis=0)
        of_seed = (wide["y"] * sign).groupby(wide["seed"]).mean() * (2 if len(name) == 1 else 4)
        expected = stats.ttest_1samp(of_seed, 0)
        assert (row["p"], row["high"]) == pytest.approx((expected.pvalue, expected.confidence_interval(0.95)[1]))
    true = [-2.5, -0.5, 0, 0, -1, 0, 0]
    assert ((table["low"] - 0.1 < true) & (true < table["high"] + 0.1)).all()
    assert set(table["model"]) == {WITHIN}


def test_a_main_effect_of_resolution_three_holds_half_of_an_interaction_by_hand() -> None:
    # Of three factors each run has an even number at 1. Means of 0.05, 3, 5, 7 make A's effect (5 + 7 - 0.05 - 3) / 2.
    frame = pd.DataFrame(
        {f"param.{name}": [run[i] for run in ("000", "011", "101", "110")] for i, name in enumerate("abc")}
    )
    frame["arm"] = frame["arm_id"] = [f"arm-{number}" for number in range(4)]
    frame["is_baseline"] = frame["arm_id"] == "arm-0"
    trials = pd.concat(
        [frame.assign(seed=0, test_accuracy=[0.0, 3, 5, 7]), frame.assign(seed=1, test_accuracy=[0.1, 3, 5, 7])]
    )
    table = interactions(trials.assign(context="", stage="design", status="complete"), factors=["a", "b", "c"])
    assert table["contrast"].tolist() == ["a=1", "b=1", "c=1"]
    assert table["aliases"].tolist() == ["−b=1 × c=1", "−a=1 × c=1", "−a=1 × b=1"]
    assert table["effect"].tolist() == pytest.approx([4.475, 2.475, 0.475])


def test_which_arms_are_a_fraction() -> None:
    def found(runs: list[str]) -> int:
        columns = {f"param.{i}": [run[i] for run in runs] for i in range(len(runs[0]))}
        pool = pd.DataFrame({**columns, "arm_id": runs, "is_baseline": [run == runs[0] for run in runs]})
        return len(factorial_cells(pool, [str(i) for i in range(len(runs[0]))])[0])

    assert found(["000", "011", "101", "110"]) == 4
    assert found(["111", "000", "011", "101", "110"]) == 4, "the baseline stands beside it"
    assert found(["200", "000", "011", "101", "110"]) == 4
    assert found(["000", "011", "101", "111"]) == 0, "not closed"
    assert found(["000", "011", "100", "111"]) == 0, "two factors go together"
    assert found(["000", "011", "101"]) == 0, "a run is not there"


def three_factors(seeds: int, noise: float) -> pd.DataFrame:
    """Return the trials of all combinations of three factors, of which two work together."""
    draws = np.random.default_rng(5)
    rows = []
    for seed in range(seeds):
        for a, b, c in itertools.product((0, 1), repeat=3):
            score = 90 + 3 * a - b + 2 * a * c + seed + noise * draws.standard_normal()
            rows.append({"param.a": a, "param.b": b, "param.c": c, "seed": seed, "test_accuracy": score})
    trials = pd.DataFrame(rows)
    trials["arm"] = trials["arm_id"] = trials[["param.a", "param.b", "param.c"]].astype(str).agg("".join, axis=1)
    trials["is_baseline"] = trials["arm_id"] == "000"
    return trials.assign(context="", stage="design", status="complete")


def test_an_arm_without_results_is_made_up_for_by_leaving_out_higher_interactions() -> None:
    trials = three_factors(seeds=3, noise=0.5)
    trials.loc[trials["arm_id"] == "011", "status"] = Status.FAILED
    table = interactions(trials, factors=["a", "b", "c"])
    left = long_format(trials[trials["status"] == "complete"], ["a", "b", "c"])
    reference = smf.ols("y ~ (a + b + c) ** 2 + C(seed)", left).fit()
    names = ["a", "b", "c", "a:b", "a:c", "b:c"]
    np.testing.assert_allclose(table["effect"], reference.params[names] * np.array([2, 2, 2, 4, 4, 4]))
    of_seed = [
        smf.ols("y ~ (a + b + c) ** 2", part).fit().params[names] * np.array([2, 2, 2, 4, 4, 4])
        for _, part in left.groupby("seed")
    ]
    np.testing.assert_allclose(table["p"], stats.ttest_1samp(np.array(of_seed), 0).pvalue)
    assert set(table["model"]) == {f"{WITHIN}, no interactions of three and more factors"}
    assert set(table["reason"]) == {""}
    trials.loc[4, "status"] = Status.FAILED
    trials.loc[14, "status"] = Status.FAILED
    table = interactions(trials, factors=["a", "b", "c"])
    assert f"{CLUSTERED}, no interactions of three and more factors" in set(table["model"])
    assert set(table["reason"]) == {""}


def test_two_arms_without_results_are_too_many_for_three_factors() -> None:
    trials = three_factors(seeds=3, noise=0.5)
    trials.loc[trials["arm_id"].isin(["011", "100"]), "status"] = Status.FAILED
    table = interactions(trials, factors=["a", "b", "c"])
    assert set(table["model"]) == {CLUSTERED}
    assert set(table["reason"]) == {"an arm that it needs has no complete trial"}


def test_other_designs_have_no_interactions(ablation: Path) -> None:
    assert load(ablation).interactions.empty


def test_an_arm_with_several_names_stands_in_all_of_its_cells(grid_writer: Callable[..., Any]) -> None:
    temperature, theta = FACTORS
    merged = {"arm": "temperature=0.1, theta=0.0", "params": {temperature: 0.1, theta: 0.0}}
    results = load(grid_writer(aliases={"temperature=0.5, theta=0.0": [merged]}).close())
    assert results.trials["arm_id"].nunique() == 5
    cells, reference = factorial_cells(results.trials, FACTORS)
    assert (len(cells), len(set(cells.values())), reference) == (6, 5, ("0.1", "0.1"))
    assert cells["0.1", "0.0"] == cells["0.5", "0.0"] == "arm-temperature=0.5, theta=0.0"
    table = results.interactions.set_index("contrast")
    of_seed = scores_of(results.trials).pivot(index="seed", columns=["a", "b"], values="y")
    half = (of_seed[0.5, 0.1] - of_seed[0.1, 0.1]) / 2  # the other half is a cell against itself
    row = table.loc["cktf.temperature=0.5"]
    assert (row["effect"], row["p"]) == pytest.approx((half.mean(), stats.ttest_1samp(half, 0).pvalue))
    assert row["n"] == 10
    assert len(results.effects) == 4, "once in the family of the verdicts"


def test_a_contrast_of_an_arm_with_itself_is_no_test_and_no_member_of_the_family(
    grid_writer: Callable[..., Any],
) -> None:
    temperature, theta = FACTORS
    trials = load(grid_writer().close()).trials
    # Two temperatures that nothing reads, by two levels of theta.
    baseline, other = "arm-baseline", "arm-temperature=0.5, theta=0.0"
    trials = trials[trials["arm_id"].isin([baseline, other])].copy()
    alias = '[{"arm": "x", "params": {"%s": %s, "%s": %s}}]'
    trials["aliases"] = trials["arm_id"].map(
        {baseline: alias % (temperature, 0.5, theta, 0.1), other: alias % (temperature, 0.1, theta, 0.0)}
    )
    table = interactions(trials, factors=FACTORS).set_index("contrast")
    gone = ["cktf.temperature=0.5", "cktf.temperature=0.5 × cktf.theta=0.0"]
    assert (table.loc[gone, "reason"] == VANISHES).all()
    assert table.loc[gone, ["effect", "p", "p_holm", "factor_p"]].isna().all(axis=None)
    assert table["p_holm"]["cktf.theta=0.0"] == table["p"]["cktf.theta=0.0"]
    assert table.at["cktf.theta=0.0", "df_error"] == 4
