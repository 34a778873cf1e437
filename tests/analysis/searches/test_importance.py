"""Importances of searched factors and their intervals, on generated searches whose answer is known."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from analysis import load
from analysis.report.tables import side_tables
from analysis.results import Results
from analysis.searches.fanova import Factor, fanova
from analysis.searches.importance import importance
from cktf.rows import Stage, Status
from tests.analysis.conftest import NUM_RESAMPLES
from tests.analysis.ledgers import LedgerWriter, study_row

TEMPERATURE = "objective.cktf.temperature"
FACTORS = [TEMPERATURE, "objective.cktf.theta", "objective.cktf.pairing"]


def shares(results: Results, method: str) -> pd.DataFrame:
    """Return the rows of a method, by factor."""
    return results.importance.query(f"method == '{method}'").set_index("factor")


def test_the_factor_that_matters_is_found_by_both_methods(search: Path) -> None:
    results = load(search)
    for method in ("ped-anova", "fanova"):
        table = shares(results, method)
        assert table.index[0] == TEMPERATURE
        assert table["importance"][TEMPERATURE] > 0.7
        assert table["first"][TEMPERATURE] > 0.9
        assert table["importance"].sum() == pytest.approx(1.0)
        assert (table["low"] <= table["high"]).all()
        assert table.at[TEMPERATURE, "low"] > table["high"].drop(TEMPERATURE).max()
        assert ("interactions" in table.index) == (method == "fanova")


def test_ped_anova_and_its_interval_are_optunas_over_resampled_arms(search: Path) -> None:
    results = load(search)
    arms = results.searched[results.searched["status"] != Status.FAILED]
    worst = arms["score"].min() - 100
    levels = arms[[f"param.{name}" for name in FACTORS]]
    domains = {
        FACTORS[0]: FloatDistribution(float(levels.iloc[:, 0].min()), float(levels.iloc[:, 0].max()), log=True),
        FACTORS[1]: FloatDistribution(float(levels.iloc[:, 1].min()), float(levels.iloc[:, 1].max())),
        FACTORS[2]: CategoricalDistribution(["first", "last"]),
    }

    def by_optuna(chosen: Any) -> list[float]:
        study = optuna.create_study(direction="maximize")
        for arm in chosen:
            params = dict(zip(FACTORS, levels.iloc[arm], strict=True))
            value = arms["score"].fillna(worst).iloc[arm]
            study.add_trial(optuna.create_trial(params=params, distributions=domains, value=value))
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.1))
        return [found[name] for name in FACTORS]

    table = shares(results, "ped-anova").loc[FACTORS]
    np.testing.assert_allclose(table["importance"], by_optuna(range(len(arms))), rtol=1e-9)
    draws = np.random.default_rng(0).integers(len(arms), size=(NUM_RESAMPLES, len(arms)))
    resampled = np.array([by_optuna(chosen) for chosen in draws])
    np.testing.assert_allclose(table["low"], np.percentile(resampled, 2.5, axis=0), rtol=1e-9)
    np.testing.assert_allclose(table["high"], np.percentile(resampled, 97.5, axis=0), rtol=1e-9)
    first = [np.mean([row.argmax() == index for row in resampled]) for index in range(3)]
    np.testing.assert_allclose(table["first"], first)


def write_curves(ledger: Any, study: Any, *, prune: bool, seed: int = 0, arms: int = 40) -> Any:
    """Write a search whose scores grow alike in all arms, with every second arm or more pruned after two epochs.

    Temperature decides most of the score, theta a little, pairing nothing. Those are pruned that are then behind the
    median of all.
    """
    ledger.add(study)
    draws = np.random.default_rng(seed)
    temperature, theta = np.exp(draws.uniform(np.log(0.02), 0.0, arms)), draws.uniform(0, 1, arms)
    pairing = draws.choice(["first", "last"], arms)
    final = 90 - 4 * np.log(temperature / 0.1) ** 2 + 2 * theta + 0.2 * draws.standard_normal(arms)
    for number in range(arms):
        params = dict(zip(FACTORS, (temperature[number], theta[number], str(pairing[number])), strict=True))
        is_pruned = prune and final[number] < np.median(final)
        trial_id = ledger.plan(f"arm{number}", 0, params, Stage.SEARCH)
        # The curves of `train` end at the accuracy that is asked; one that is cut short has come less far.
        missing = 20.0 * (math.exp(-2) - math.exp(-4)) if is_pruned else 0.0
        ledger.train(
            trial_id,
            float(final[number] - missing),
            epochs=2 if is_pruned else 4,
            status=Status.PRUNED if is_pruned else Status.COMPLETE,
            tests=False,
        )
    return ledger


@pytest.fixture
def curves(tmp_path: Path) -> Callable[..., Results]:
    """Return a maker of the results of `write_curves`, pruned or not."""

    def make(*, prune: bool) -> Results:
        study = study_row(design="search", factors=FACTORS, log_factors=[TEMPERATURE])
        return load(write_curves(LedgerWriter(tmp_path / f"pruned-{prune}"), study, prune=prune).close())

    return make


def test_pruning_what_is_not_among_the_best_changes_nothing_for_ped_anova(curves: Callable[..., Results]) -> None:
    whole, pruned = (shares(curves(prune=prune), "ped-anova") for prune in (False, True))
    assert pruned["n_pruned"].unique().tolist() == [20]
    columns = ["importance", "low", "high", "first"]
    np.testing.assert_allclose(pruned.loc[FACTORS, columns], whole.loc[FACTORS, columns])


def test_fanova_compares_all_arms_after_the_last_epoch_that_all_have_done(curves: Callable[..., Results]) -> None:
    whole, pruned = curves(prune=False), curves(prune=True)
    assert shares(whole, "fanova")["after_epoch"].isna().all()
    table = shares(pruned, "fanova")
    assert table["after_epoch"].unique().tolist() == [2.0]
    second = pruned.epochs[pruned.epochs["epoch"] == 2]
    levels = pruned.trials.set_index("trial_id").loc[second["trial_id"]]
    columns = [np.log(levels[f"param.{TEMPERATURE}"]), levels["param.objective.cktf.theta"]]
    columns.append((levels["param.objective.cktf.pairing"] == "last").astype(float))
    domains = [Factor(column.min(), column.max()) for column in columns[:2]]
    found = fanova(
        np.column_stack(columns),
        second["validation_accuracy"].to_numpy(),
        [*domains, Factor(num_choices=2)],
        num_trees=64,
    )
    np.testing.assert_allclose(table["importance"][FACTORS], found)
    assert table.at["interactions", "importance"] == pytest.approx(1 - found.sum())
    # All curves grow alike here, so that it is the importance for the last score, too.
    expected = shares(whole, "fanova")["importance"][FACTORS]
    np.testing.assert_allclose(table["importance"][FACTORS], expected, atol=0.01)


def test_complete_arms_alone_would_hide_what_the_pruned_ones_lacked(curves: Callable[..., Results]) -> None:
    whole, pruned = curves(prune=False), curves(prune=True)
    complete = pruned.trials[pruned.trials["status"] == Status.COMPLETE]
    for method in ("ped-anova", "fanova"):
        alone = importance(complete, pruned.epochs, pruned.facts.study).query(f"method == '{method}'")
        kept, alone, truth = (
            table["importance"][TEMPERATURE]
            for table in (shares(pruned, method), alone.set_index("factor"), shares(whole, method))
        )
        assert abs(kept - truth) < abs(alone - truth) / 5, method


def test_the_same_tables_give_the_same_importances(search: Path) -> None:
    results = load(search)
    first, second = (importance(results.trials, results.epochs, results.facts.study) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def write_integers(ledger: Any, study: Any, count: int) -> Any:
    """Write a search of an integer that matters and of a conditional factor that half of the arms have."""
    ledger.add(study)
    for number in range(count):
        params = {"objective.kd.negatives": 2 ** (5 + number % 5)}
        if number % 2:
            params["objective.kd.temperature"] = 1.0 + number / count
        trial_id = ledger.plan(f"arm{number}", 0, params, Stage.SEARCH)
        ledger.train(trial_id, 80.0 + number % 5 + 0.01 * number, tests=False)
    return ledger


def test_a_conditional_factor_is_judged_by_ped_anova_alone(ledger: LedgerWriter) -> None:
    factors = ["objective.kd.negatives", "objective.kd.temperature"]
    results = load(write_integers(ledger, study_row(design="search", factors=factors), 30).close())
    table = shares(results, "ped-anova")
    assert table.index.tolist() == factors
    assert (table["importance"] > 0).all()
    study = optuna.create_study(direction="maximize")
    domains = {factors[0]: IntDistribution(32, 512), factors[1]: FloatDistribution(1 + 1 / 30, 1 + 29 / 30)}
    for row in results.searched.to_dict("records"):
        params = {name: row[f"param.{name}"] for name in factors if not pd.isna(row[f"param.{name}"])}
        study.add_trial(
            optuna.create_trial(
                params=params, distributions={name: domains[name] for name in params}, value=row["score"]
            )
        )
    theirs = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    assert table["importance"].to_dict() == pytest.approx(theirs)
    table = shares(results, "fanova")
    assert table.at[factors[0], "importance"] == pytest.approx(1.0)
    assert table.at[factors[0], "low"] == pytest.approx(1.0)
    assert "interactions" not in table.index  # there is none of one factor
    assert np.isnan(table["importance"][factors[1]])
    assert table.at[factors[1], "reason"] == "not every arm has this factor"


def test_a_factor_alone_has_all_importance_and_an_interval_without_width(ledger: LedgerWriter) -> None:
    study = study_row(design="search", factors=["objective.kd.negatives"])
    results = load(write_integers(ledger, study, 20).close())
    for method in ("ped-anova", "fanova"):
        table = shares(results, method)
        figures = table[["importance", "low", "high", "first"]].to_numpy()
        np.testing.assert_allclose(figures, [[1.0] * 4])


@pytest.mark.parametrize(
    ("ends", "reasons"),
    [
        ([Status.COMPLETE] * 5, {"5 complete or pruned arms; at least 10 are needed"}),
        ([Status.COMPLETE] + [Status.PRUNED] * 19, {"1 of 20 arms are complete: the best tenth is not known", ""}),
        ([Status.PRUNED] * 12, {"0 of 12 arms are complete: the best tenth is not known", ""}),
    ],
)
def test_what_cannot_be_known_has_a_reason(ends: list[Status], reasons: set[str], ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=[TEMPERATURE]))
    for number, status in enumerate(ends):
        trial_id = ledger.plan(f"arm{number}", 0, {TEMPERATURE: 0.1 + 0.01 * number}, Stage.SEARCH)
        epochs = 4 if status == Status.COMPLETE else 2
        ledger.train(trial_id, 80.0 + number, epochs=epochs, status=status, tests=False)
    table = load(ledger.close()).importance
    assert set(table["reason"]) == reasons
    np.testing.assert_array_equal(table["importance"].isna(), table["reason"] != "")


def test_equal_scores_have_a_reason(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=[TEMPERATURE]))
    for number in range(12):
        trial_id = ledger.plan(f"arm{number}", 0, {TEMPERATURE: 0.1 + 0.01 * number}, Stage.SEARCH)
        ledger.train(trial_id, 90.0, tests=False)
    table = load(ledger.close()).importance
    assert table["reason"].tolist() == [
        "the best tenth of the arms is no better than the worst arm",
        "all arms have the same score",
    ]


@pytest.mark.parametrize(("pruned_after", "by_fanova"), [(2, True), (0, False)])
def test_samples_in_which_the_best_tenth_is_not_known_tell_nothing(
    ledger: LedgerWriter, pruned_after: int, *, by_fanova: bool
) -> None:
    ledger.add(study_row(design="search", factors=FACTORS[:2]))
    draws = np.random.default_rng(0)
    for number, (temperature, theta) in enumerate(draws.uniform(0.1, 1, (20, 2))):
        trial_id = ledger.plan(f"arm{number}", 0, {FACTORS[0]: temperature, FACTORS[1]: theta}, Stage.SEARCH)
        epochs, status = (4, Status.COMPLETE) if number < 2 else (pruned_after, Status.PRUNED)
        ledger.train(trial_id, 80.0 + theta, epochs=epochs, status=status, tests=False)
    results = load(ledger.close())
    # Of 20 arms drawn anew, fewer than two are often complete; there Optuna has all factors matter alike.
    table = shares(results, "ped-anova")
    assert table["first"].sum() == pytest.approx(1.0)
    assert results.importance.query("method == 'fanova'")["importance"].notna().all() == by_fanova
    text = sys.modules["analysis.searches.importance"].importance_text(results.importance)
    assert ("fANOVA compares all arms after 2 scored epochs" in text) is by_fanova
    assert ("scored epochs" in text) is by_fanova


def test_a_factor_that_never_varies_explains_nothing(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=[TEMPERATURE]))
    for number in range(12):
        trial_id = ledger.plan(f"arm{number}", 0, {TEMPERATURE: 0.1}, Stage.SEARCH)
        ledger.train(trial_id, 80.0 + number, tests=False)
    assert shares(load(ledger.close()), "fanova")["reason"].tolist() == ["no factor sets any arms apart"]


def test_of_many_arms_some_are_judged_and_all_are_counted(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["analysis.searches.importance"]
    assert "drawn at random" not in module.importance_text(load(search).importance)
    monkeypatch.setattr(module, "MAX_ARMS", 40)
    results = load(search)
    assert shares(results, "ped-anova").index[0] == TEMPERATURE
    assert set(results.importance["n_complete"]) == {int((results.searched["status"] == Status.COMPLETE).sum())}
    assert "Judged by 40 of the arms, drawn at random." in module.importance_text(results.importance)


def test_a_design_has_no_importances(ablation: Path) -> None:
    assert load(ablation).importance.empty


@pytest.mark.parametrize("level", [optuna.logging.INFO, optuna.logging.ERROR])
def test_optuna_stays_quiet_and_its_log_level_as_it_was(
    search: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    optuna.logging.set_verbosity(level)
    levels: list[int] = []
    monkeypatch.setattr(optuna.logging, "set_verbosity", levels.append)
    assert not load(search).importance.empty
    assert optuna.logging.get_verbosity() == level
    assert levels == []  # not even for a moment, for other threads of the process see it
    assert capfd.readouterr() == ("", "")


def write_product(ledger: Any, study: Any) -> Any:
    """Write a search of two numbers whose product alone matters: neither explains anything by itself."""
    ledger.add(study)
    draws = np.random.default_rng(1)
    for number in range(200):
        x, y = map(float, draws.uniform(-1, 1, 2))
        params = dict(zip(study.factors, (x, y), strict=True))
        score = 80 + 5 * x * y + 0.05 * float(draws.standard_normal())
        ledger.train(ledger.plan(f"arm{number}", 0, params, Stage.SEARCH), score, tests=False)
    return ledger


@pytest.mark.parametrize("factors", [["x", "y"], ["interactions", "y"]])
def test_what_only_two_factors_together_explain_is_no_share_of_either(ledger: LedgerWriter, factors: list[str]) -> None:
    results = load(write_product(ledger, study_row(design="search", factors=factors)).close())
    table = shares(results, "fanova")
    assert sorted(table.index[:2]) == sorted(factors)
    assert table["importance"].iloc[:2].max() < 0.15
    rest = table.iloc[2]
    assert rest["importance"] == pytest.approx(1 - table["importance"].iloc[:2].sum())
    assert 0.7 < rest["low"] < rest["importance"] < rest["high"] < 1
    assert np.isnan(rest["first"])
    # The same resamples, seen from the other side.
    arms = results.searched
    domains = [Factor(float(of.min()), float(of.max())) for of in (arms[f"param.{name}"] for name in factors)]
    levels = arms[[f"param.{name}" for name in factors]].to_numpy(np.float64)
    scores = arms["score"].to_numpy(np.float64)
    sums = [
        fanova(levels[drawn], scores[drawn], domains, num_trees=16).sum()
        for drawn in np.random.default_rng(0).integers(200, size=(NUM_RESAMPLES, 200))
    ]
    np.testing.assert_allclose(rest[["low", "high"]].tolist(), 1 - np.percentile(sums, [97.5, 2.5]))
    rows = side_tables(results)["importance"].rows
    by_name = {row[0]: row for row in rows[1:]}
    assert by_name[str(rest.name)][1:3] == ["–", "–"]  # PED-ANOVA's split knows no interactions
    assert len(by_name) == 3


def test_another_seed_draws_other_samples_and_the_same_seed_the_same(search: Path) -> None:
    results = load(search)
    tables = [importance(results.trials, results.epochs, results.facts.study, seed=seed) for seed in (0, 5, 5)]
    pd.testing.assert_frame_equal(tables[1], tables[2])
    pd.testing.assert_frame_equal(tables[0], results.importance)
    for method in ("ped-anova", "fanova"):
        first, other = (table[table["method"] == method].set_index("factor") for table in tables[:2])
        assert first["low"][TEMPERATURE] != other["low"][TEMPERATURE]


def test_sentences_say_what_a_share_is_of_for_the_methods_that_say_anything(search: Path) -> None:
    module = sys.modules["analysis.searches.importance"]
    found = load(search).importance
    text = module.importance_text(found)
    assert "PED-ANOVA splits among the factors" in text
    assert "fANOVA: share of the variance of the score" in text
    assert "fANOVA" not in module.importance_text(found[found["method"] == "ped-anova"])
