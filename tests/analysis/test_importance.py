"""Importances of searched factors, on generated searches whose answer is known."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from analysis import importance, load
from analysis.importance import search_study
from cktf.rows import Stage, Status

TEMPERATURE = "objective.cktf.temperature"


def test_the_factor_that_matters_is_found_by_both_methods(search: Path) -> None:
    table = load(search).importance
    for method in ("ped-anova", "fanova"):
        shares = table[table["method"] == method].set_index("factor")["importance"]
        assert shares.idxmax() == TEMPERATURE
        assert shares[TEMPERATURE] > 0.7
        assert shares.sum() == pytest.approx(1.0)


def test_the_rebuilt_study_is_what_was_searched(search: Path) -> None:
    results = load(search)
    study = search_study(results.trials, results.epochs, results.facts.study)
    states = [trial.state for trial in study.trials]
    counts = [states.count(state) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)]
    assert counts == [51, 6, 3]
    assert study.best_value == results.leaderboard["score"][0]
    domains = study.trials[0].distributions
    assert isinstance(domains[TEMPERATURE], FloatDistribution)
    assert domains[TEMPERATURE].log
    assert not getattr(domains["objective.cktf.theta"], "log", None)
    assert domains["objective.cktf.pairing"] == CategoricalDistribution(["first", "last"])
    pruned = study.trials[states.index(TrialState.PRUNED)]
    assert sorted(pruned.intermediate_values) == [1, 2]


def test_the_same_tables_give_the_same_importances(search: Path) -> None:
    results = load(search)
    first, second = (importance(results.trials, results.epochs, results.facts.study) for _ in range(2))
    assert first.equals(second)


def write_integers(ledger: Any, study: Any, count: int, seeds: int = 1) -> Any:
    ledger.add(study)
    for number in range(count):
        params = {"objective.kd.negatives": 2 ** (5 + number % 5)}
        if number % 2:
            params["objective.kd.temperature"] = 1.0 + number / count
        for seed in range(seeds):
            trial_id = ledger.plan(f"arm{number}", seed, params, Stage.SEARCH)
            ledger.train(trial_id, 80.0 + number % 5 + 0.01 * number, tests=False)
    return ledger


def test_conditional_factors_and_integers_are_judged(new_ledger: Any, make_study_row: Any) -> None:
    factors = ["objective.kd.negatives", "objective.kd.temperature"]
    ledger = write_integers(new_ledger(), make_study_row(design="search", factors=factors), 30)
    ledger.close_segment()
    results = load(ledger.run)
    study = search_study(results.trials, results.epochs, results.facts.study)
    assert study.trials[0].distributions == {factors[0]: IntDistribution(32, 512)}
    assert study.trials[1].params[factors[1]] == pytest.approx(1 + 1 / 30)
    table = results.importance.set_index(["method", "factor"])["importance"]
    assert table["ped-anova"].idxmax() == factors[0]
    assert set(table["ped-anova"].index) == set(factors)
    assert set(table["fanova"].index) == {factors[0]}


def test_the_score_of_an_arm_is_the_mean_over_its_seeds(new_ledger: Any, make_study_row: Any) -> None:
    factors = ["objective.kd.negatives"]
    ledger = write_integers(new_ledger(), make_study_row(design="search", factors=factors), 3, seeds=2)
    ledger.train(ledger.plan("arm9", 0, {factors[0]: 32}, Stage.SEARCH), 99.0, tests=False)
    trial_id = ledger.plan("arm9", 1, {factors[0]: 32}, Stage.SEARCH)
    ledger.train(trial_id, 1.0, epochs=1, status=Status.FAILED, tests=False)
    ledger.plan("arm10", 0, {factors[0]: 64}, Stage.SEARCH)
    ledger.close_segment()
    results = load(ledger.run)
    study = search_study(results.trials, results.epochs, results.facts.study)
    assert [trial.value for trial in study.trials][:3] == pytest.approx([80.0, 81.01, 82.02])
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3 + [TrialState.FAIL]


def test_too_few_arms_have_no_importance_and_a_reason(new_ledger: Any, make_study_row: Any) -> None:
    ledger = write_integers(
        new_ledger(), make_study_row(design="search", factors=["objective.kd.negatives"]), 5
    )
    ledger.close_segment()
    table = load(ledger.run).importance
    assert np.isnan(table["importance"]).all()
    assert set(table["reason"]) == {"5 complete arms; at least 10 are needed"}


def test_fanova_sees_a_part_of_many_arms_and_says_so(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["analysis.importance"], "MAX_FANOVA_TRIALS", 20)
    table = load(search).importance.set_index("method")
    assert set(table.loc["fanova", "reason"]) == {"on 20 of 51 complete arms, drawn at random"}
    assert set(table.loc["ped-anova", "reason"]) == {""}


def test_a_design_has_no_importances(ablation: Path) -> None:
    assert load(ablation).importance.empty


def test_optuna_stays_quiet(search: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not load(search).importance.empty
    assert capfd.readouterr() == ("", "")
