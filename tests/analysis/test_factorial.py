"""Main effects and interactions of a grid, by formulas of cell means and by statsmodels."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from analysis import interactions, load
from analysis.factorial import contrasts, factorial_cells
from analysis.verdicts import holm
from cktf.rows import Status

FACTORS = ["objective.cktf.temperature", "objective.cktf.theta"]


def scores_of(trials: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "param.objective.cktf.temperature": "a",
        "param.objective.cktf.theta": "b",
        "test_accuracy": "y",
    }
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
    assert table["p_holm"].iloc[4] < 1e-6
    assert table["p_holm"].iloc[3] > 0.05
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))


@pytest.mark.parametrize("missing", [0, 4])
def test_the_joint_tests_are_those_of_type_iii(grid: Path, missing: int) -> None:
    trials = load(grid).trials.drop(index=[3, 10, 17, 18][:missing])
    table = interactions(trials, factors=FACTORS).drop_duplicates("factor").set_index("factor")
    formula = "y ~ C(a, Sum) * C(b, Sum) + C(seed, Sum)"
    reference = anova_lm(smf.ols(formula, scores_of(trials)).fit(), typ=3)
    for factor, row in zip(table.index, ("C(a, Sum)", "C(b, Sum)", "C(a, Sum):C(b, Sum)"), strict=True):
        found = table.loc[factor, ["factor_f", "factor_df", "factor_p"]].to_numpy(float)
        np.testing.assert_allclose(found, reference.loc[row, ["F", "df", "PR(>F)"]].to_numpy(float))
    assert table["df_error"].unique().tolist() == [20 - missing]


def test_of_two_levels_and_two_seeds_computed_by_hand() -> None:
    # Two arms, two seeds: differences 1 and 3, so 2 with a standard error of 1 and one degree of freedom: p of |t| > 2
    # is 1 - 2 atan(2) / pi.
    rows = [(arm, seed) for arm in ("baseline", "x") for seed in (0, 1)]
    trials = pd.DataFrame(rows, columns=["arm_id", "seed"])
    trials["test_accuracy"] = [90.0, 91.0, 91.0, 94.0]
    trials["param.f"] = [1, 1, 2, 2]
    trials["is_baseline"] = trials["arm_id"] == "baseline"
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
    cells = [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]
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
    [
        ({"seeds": 1}, "too few complete trials to estimate their error"),
        ({"noise": 0.0}, "the scores follow the model without error: nothing to test against"),
    ],
)
def test_without_an_error_there_are_no_figures(
    grid_writer: Callable[..., Any], options: dict[str, Any], reason: str
) -> None:
    ledger = grid_writer(**options)
    ledger.close_segment()
    table = load(ledger.run).interactions
    assert len(table) == 5
    assert table[["effect", "p", "p_holm", "factor_p"]].isna().all(axis=None)
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
    np.testing.assert_allclose(table["p"], reference.pvalues[names])
    np.testing.assert_allclose(table["high"], reference.conf_int().loc[names, 1] * scale)
    true = [-2.5, -0.5, 0, 0, -1, 0, 0]
    assert ((table["low"] - 0.1 < true) & (true < table["high"] + 0.1)).all()
    assert set(table["model"]) == {"least squares, a mean for every arm, seed as block"}


def test_a_main_effect_of_resolution_three_holds_half_of_an_interaction_by_hand() -> None:
    # Of three factors each run has an even number at 1. Means of 0.05, 3, 5, 7 make A's effect (5 + 7 - 0.05 - 3) / 2.
    frame = pd.DataFrame(
        {f"param.{name}": [run[i] for run in ("000", "011", "101", "110")] for i, name in enumerate("abc")}
    )
    frame["arm_id"] = [f"arm-{number}" for number in range(4)]
    frame["is_baseline"] = frame["arm_id"] == "arm-0"
    trials = pd.concat(
        [
            frame.assign(seed=0, test_accuracy=[0.0, 3, 5, 7]),
            frame.assign(seed=1, test_accuracy=[0.1, 3, 5, 7]),
        ]
    )
    table = interactions(
        trials.assign(context="", stage="design", status="complete"), factors=["a", "b", "c"]
    )
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
    trials["arm_id"] = trials[["param.a", "param.b", "param.c"]].astype(str).agg("".join, axis=1)
    trials["is_baseline"] = trials["arm_id"] == "000"
    return trials.assign(context="", stage="design", status="complete")


def test_an_arm_without_results_is_made_up_for_by_leaving_out_higher_interactions() -> None:
    trials = three_factors(seeds=3, noise=0.5)
    trials.loc[trials["arm_id"] == "011", "status"] = Status.FAILED
    trials.loc[4, "status"] = Status.FAILED
    table = interactions(trials, factors=["a", "b", "c"])
    left = long_format(trials[trials["status"] == "complete"], ["a", "b", "c"])
    reference = smf.ols("y ~ (a + b + c) ** 2 + C(seed)", left).fit()
    names = ["a", "b", "c", "a:b", "a:c", "b:c"]
    np.testing.assert_allclose(table["effect"], reference.params[names] * np.array([2, 2, 2, 4, 4, 4]))
    np.testing.assert_allclose(table["p"], reference.pvalues[names])
    assert set(table["n"]) == {len(left)} == {20}
    assert set(table["model"]) == {"least squares, no interactions of three and more factors, seed as block"}
    assert set(table["reason"]) == {""}


def test_two_arms_without_results_are_too_many_for_three_factors() -> None:
    trials = three_factors(seeds=3, noise=0.5)
    trials.loc[trials["arm_id"].isin(["011", "100"]), "status"] = Status.FAILED
    table = interactions(trials, factors=["a", "b", "c"])
    assert set(table["model"]) == {"least squares, a mean for every arm, seed as block"}
    assert set(table["reason"]) == {"an arm that it needs has no complete trial"}


def test_other_designs_have_no_interactions(ablation: Path) -> None:
    assert load(ablation).interactions.empty
