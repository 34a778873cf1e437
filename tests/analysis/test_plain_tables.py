"""Statistics of plain tables are those of the trials that they came from; bad tables end in one message."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import load
from cktf.errors import InputError


def plain(trials: pd.DataFrame, *columns: str, **names: str) -> pd.DataFrame:
    """Return the columns of trials that another program would write."""
    wanted = ["arm", "seed", *columns]
    return trials[wanted].rename(columns={"test_accuracy": "acc", "validation_accuracy": "acc", **names})


def assert_same(found: pd.DataFrame, expected: pd.DataFrame, *but: str) -> None:
    without = [name for name in ("arm_id", "metric", "effect_metric", *but) if name in expected]
    pd.testing.assert_frame_equal(found.drop(columns=without), expected.drop(columns=without), rtol=1e-9)


def test_arms_and_the_best_of_a_plain_table(ablation: Path) -> None:
    results = load(ablation)
    table = plain(results.trials, "test_accuracy")
    assert_same(analysis.arms(table, metric="acc"), results.arms)
    assert_same(analysis.best(table, metric="acc"), results.best)
    renamed = table.replace({"arm": {"baseline": "none"}})
    assert not analysis.arms(renamed, metric="acc")["is_baseline"].any()
    marked = analysis.arms(renamed, metric="acc", baseline="none")
    assert marked.loc[marked["is_baseline"], "arm"].tolist() == ["none"]


def test_ranks_of_a_plain_table(many_contexts: Any) -> None:
    results = load(many_contexts(6))
    table = plain(results.trials, "context", "test_accuracy")
    assert_same(analysis.ranks(table, metric="acc"), results.ranks)
    assert_same(analysis.ranks(results.trials), results.ranks)
    named = table.replace({"arm": {"baseline": "none"}})
    assert (
        analysis.ranks(named, metric="acc", baseline="none").loc[lambda row: row["is_baseline"], "arm"].item() == "none"
    )
    turned = analysis.ranks(table, metric="acc", maximise=False)
    assert turned["arm"].tolist() == results.ranks["arm"].tolist()[::-1]


def test_interactions_of_a_plain_table(grid: Path) -> None:
    results = load(grid)
    factors = results.facts.study.factors
    table = plain(
        results.trials,
        *("test_accuracy", *(f"param.{name}" for name in factors)),
        **{f"param.{name}": name for name in factors},
    )
    assert_same(analysis.interactions(table, factors=factors, metric="acc"), results.interactions)
    assert_same(analysis.interactions(results.trials, factors=factors), results.interactions)
    other = analysis.interactions(table, factors=factors, metric="acc", baseline="temperature=1.0, theta=0.0")
    assert other["against"].iloc[0] == "cktf.temperature=1.0"


def test_importance_of_a_plain_table_finds_the_factor_that_matters() -> None:
    draws = np.random.default_rng(0)
    size, width = draws.uniform(1e-3, 1, 60), draws.choice(["narrow", "wide"], 60)
    score = 90 - 5 * np.abs(np.log10(size) + 1.5) + 0.05 * draws.standard_normal(60)
    table = pd.DataFrame(
        {"arm": [f"arm {n}" for n in range(60)], "seed": 0, "acc": score, "size": size, "width": width}
    )
    table.loc[3, "acc"] = np.nan
    found = analysis.importance(table, metric="acc", factors=["size", "width"], log_factors=["size"])
    assert found.groupby("method", sort=False)["factor"].first().tolist() == ["size", "size"]
    assert (found["n_complete"] == 59).all()
    assert (found["n_failed"] == 1).all()
    turned = analysis.importance(
        table.assign(acc=-table["acc"]), metric="acc", factors=["size", "width"], log_factors=["size"], maximise=False
    )
    pd.testing.assert_series_equal(found["importance"], turned["importance"], rtol=1e-6)
    of_texts = analysis.importance(
        table.assign(size=table["size"].map(repr)), metric="acc", factors=["size", "width"], log_factors=["size"]
    )
    pd.testing.assert_frame_equal(of_texts, found)


def test_importance_takes_levels_of_several_kinds() -> None:
    draws = np.random.default_rng(0)
    features = ["sqrt", 0.5, None]
    rows = [
        {"arm": f"arm {n}", "seed": 0, "acc": n % 3 + 0.1 * draws.normal(), "features": features[n % 3], "depth": n % 5}
        for n in range(60)
    ]
    found = analysis.importance(
        pd.DataFrame(rows).fillna({"features": "all"}), metric="acc", factors=["features", "depth"]
    )
    assert found.groupby("method", sort=False)["factor"].first().tolist() == ["features", "features"]


def test_lists_are_levels_as_text() -> None:
    rows = [
        {"arm": f"{layers}, {rate}", "seed": seed, "acc": 70 + len(layers) + rate + 0.1 * (seed + rate) ** 2}
        | {"layers": layers, "rate": rate}
        for layers in ([64], [64, 32])
        for rate in (1, 2)
        for seed in range(4)
    ]
    table = pd.DataFrame(rows)
    found = analysis.interactions(table, factors=["layers", "rate"], metric="acc")
    written = analysis.interactions(
        table.assign(layers=table["layers"].map(str)), factors=["layers", "rate"], metric="acc"
    )
    pd.testing.assert_frame_equal(found, written)
    assert found["contrast"][0] == "layers=[64, 32]"


def test_a_plain_table_of_a_confirmed_search(confirmed_search: Path) -> None:
    results = load(confirmed_search)
    trials = results.trials[results.trials["status"] == "complete"]
    table = plain(trials, "stage", "validation_accuracy")
    found = analysis.confirmed(table, metric="acc")
    assert_same(
        found.drop(columns=["effect", "effect_low", "effect_high", "verdict"]),
        results.confirmed.drop(columns=["effect", "effect_low", "effect_high", "verdict"]),
    )
    fresh = table[table["stage"] == "confirm"].drop(columns="stage")
    (effect,) = analysis.effects(fresh, metric="acc").itertuples()
    assert found.loc[~found["is_baseline"], ["effect", "verdict"]].to_numpy().tolist() == [
        [effect.effect, effect.verdict]
    ]
    of_trials = analysis.confirmed(results.trials, results.effects, metric="validation_accuracy")
    pd.testing.assert_frame_equal(of_trials, results.confirmed)
    pd.testing.assert_frame_equal(analysis.confirmed(table, analysis.effects(fresh, metric="acc"), metric="acc"), found)
    turned = analysis.confirmed(table, metric="acc", maximise=False, baseline="search-1")
    assert turned.loc[turned["is_baseline"], "arm"].tolist() == ["search-1"]


def test_ranks_and_confirmed_arms_take_no_effects_against_other_arms(confirmed_search: Path) -> None:
    draws = np.random.default_rng(0)
    rows = [
        {"context": context, "arm": arm, "seed": seed, "acc": better + draws.normal()}
        for context in "uvwxyz"
        for arm, better in (("baseline", 10), ("kd", 12), ("crd", 14))
        for seed in range(3)
    ]
    table = pd.DataFrame(rows)
    effects = analysis.effects(table, metric="acc", contrasts=["baseline", ("kd", "crd")])
    with pytest.raises(
        InputError, match="ranks takes effects against the baseline alone; one of these is against 'crd'"
    ):
        analysis.ranks(table, effects, metric="acc")
    with pytest.raises(
        InputError, match="ranks takes effects against the baseline alone; one of these is against 'kd'"
    ):
        analysis.ranks(table, analysis.effects(table, metric="acc", baseline="kd"), metric="acc")
    results = load(confirmed_search)
    other = analysis.effects(results.trials, contrasts=[("baseline", "search-1")])
    with pytest.raises(InputError, match="confirmed takes effects against the baseline alone; one of these is against"):
        analysis.confirmed(results.trials, other, metric="validation_accuracy")


ROWS = pd.DataFrame(
    {
        "arm": ["baseline", "baseline", "kd", "kd"],
        "seed": [0, 1, 0, 1],
        "acc": [0.8, 0.9, 0.85, 0.95],
        "lr": [0.1, 0.1, 0.5, 0.5],
        "stage": ["search", "search", "confirm", "confirm"],
    }
)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("arms", {"metric": "f1"}, "no column is called 'f1'; there are: arm, seed, acc"),
        ("arms", {"baseline": "nobody"}, "no arm is called 'nobody', which is to be the baseline"),
        ("best", {"trials": ROWS.assign(loss=ROWS["acc"]), "metric": "loss"}, "say --minimise or --maximise"),
        ("ranks", {"baseline": "nobody"}, "no arm is called 'nobody'"),
        ("ranks", {"trials": ROWS.replace({"arm": {"baseline": "none"}})}, "no arm is called 'baseline'"),
        ("interactions", {"factors": ["width"]}, "no column of levels is called 'width'; there are: lr"),
        ("interactions", {"factors": "lr"}, "factors: must be a list of paths; got 'lr'"),
        ("interactions", {"factors": ["seed"]}, "no column of levels is called 'seed'"),
        ("interactions", {"factors": ["lr", "lr"]}, "factors: 'lr' is named 2 times"),
        (
            "interactions",
            {"factors": ["lr"], "trials": ROWS.assign(lr=[0.1, 0.2, 0.5, 0.5])},
            "an arm has one level of each factor; arm 'baseline' has 0.1, 0.2 of 'lr'",
        ),
        (
            "interactions",
            {"factors": ["lr"], "trials": ROWS.assign(lr=[0.1, 0.1, float("nan"), float("nan")])},
            "factors: column 'lr' is empty in row 3",
        ),
        ("importance", {}, "factors: none are named; there are the columns arm, seed, acc, lr"),
        ("importance", {"factors": "lr"}, "factors: must be a list of names; got 'lr'"),
        ("importance", {"factors": ["lr"], "log_factors": ["x"]}, "log_factors: 'x' is none of the factors"),
        (
            "importance",
            {"factors": ["lr"], "log_factors": ["lr"], "trials": ROWS.assign(lr=0.0)},
            "log_factors: the levels of 'lr' must be numbers above 0",
        ),
        (
            "importance",
            {"factors": ["lr"], "trials": ROWS.assign(context=["a", "a", "b", "b"])},
            "the table: a search has one context; column 'context' has a, b",
        ),
        (
            "confirmed",
            {
                "trials": ROWS.assign(
                    arm="baseline", stage=["search", "confirm"] * 2, context=["a", "a", "b", "b"], seed=[0, 1, 0, 1]
                )
            },
            "the table: a search has one context; column 'context' has a, b",
        ),
        ("confirmed", {"trials": ROWS.drop(columns="stage")}, "these columns are missing: stage"),
        ("confirmed", {"trials": ROWS.assign(stage="test")}, "must be one of search, confirm; row 1 has 'test'"),
        ("confirmed", {"trials": ROWS.assign(stage="search")}, "no row has the stage 'confirm'"),
        ("confirmed", {}, "the rows of stage 'confirm': no arm is called 'baseline'"),
    ],
)
def test_a_plain_table_that_cannot_be_read_is_refused(name: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as error:
        getattr(analysis, name)(**{"trials": ROWS, "metric": "acc"} | given)
    assert told in str(error.value)


def test_trials_without_their_study_have_no_importance(search: Path) -> None:
    results = load(search)
    with pytest.raises(InputError, match="takes their epochs and study"):
        analysis.importance(results.trials, results.epochs)
    with pytest.raises(InputError, match="takes their epochs and study"):
        analysis.importance(results.trials, study=results.facts.study)
    pd.testing.assert_frame_equal(
        analysis.importance(results.trials, results.epochs, results.facts.study), results.importance
    )
