"""Parallel coordinates of a search: what is drawn."""

import math
from pathlib import Path

import pytest

from analysis import load
from analysis.figures.parallel import BEST, COMPLETE, PRUNED, UNSET, record
from cktf.rows import Stage, Status
from tests.analysis.ledgers import LedgerWriter, study_row


def test_lines_pass_each_axis_where_their_level_lies(search: Path) -> None:
    results = load(search)
    found = record(results)
    assert found is not None
    assert found.axes[0] == "cktf.temperature"
    assert found.axes[-1] == "validation accuracy"
    arms = results.searched.set_index("number")
    levels = arms.loc[arms["status"] != "failed", "param.objective.cktf.temperature"]
    low, high = math.log(levels.min()), math.log(levels.max())
    on_first = {point["number"]: point for point in found.points if point["axis"] == found.axes[0]}
    assert set(on_first) == set(levels.index)
    for number, level in levels.items():
        expected = (math.log(level) - low) / (high - low)
        assert on_first[number]["position"] == pytest.approx(expected, abs=1e-4)
    groups = [point["group"] for point in on_first.values()]
    assert [groups.count(group) for group in (BEST, COMPLETE, PRUNED)] == [6, 45, 6]
    ends = [tick["text"] for tick in found.ticks if tick["axis"] == found.axes[0]]
    assert ends == [f"{levels.min():.3g}", f"{levels.max():.3g}", "0.1"]  # a power of ten tells that it is logarithmic


def test_pruned_arms_have_no_point_on_the_axis_of_scores(search: Path) -> None:
    found = record(load(search))
    assert found is not None
    scored = [point for point in found.points if point["axis"] == found.axes[-1]]
    assert {point["group"] for point in scored} == {BEST, COMPLETE}
    assert max(scored, key=lambda point: point["position"])["group"] == BEST


def test_an_arm_without_a_factor_passes_below_its_axis(ledger: LedgerWriter) -> None:
    factors = ["objective.kd.weight", "objective.kd.temperature"]
    ledger.add(study_row(design="search", factors=factors))
    for number in range(6):
        weight = float(number % 3)
        params = {factors[0]: weight} | ({factors[1]: 1.0 + number} if weight else {})
        ledger.train(ledger.plan(f"arm{number}", 0, params, Stage.SEARCH), 80.0 + number, tests=False)
    found = record(load(ledger.close()))
    assert found is not None
    below = {point["number"] for point in found.points if point["position"] == UNSET}
    assert below == {1, 4}
    assert {point["axis"] for point in found.points if point["position"] == UNSET} == {"kd.temperature"}
    assert "passes below the axis" in found.caption


def test_a_factor_that_failed_arms_alone_have_has_no_axis(ledger: LedgerWriter) -> None:
    factors = ["objective.kd.weight", "objective.kd.temperature", "optimizer.beta"]
    ledger.add(study_row(design="search", factors=factors, log_factors=factors[2:]))
    for number in range(6):
        params = {factors[0]: 1.0 * number, factors[1]: 1.0 + number % 2}
        ledger.train(ledger.plan(f"arm{number}", 0, params, Stage.SEARCH), 80.0 + number, tests=False)
    failed = ledger.plan("arm6", 0, {factors[2]: 0.9}, Stage.SEARCH)
    ledger.train(failed, 1.0, epochs=1, status=Status.FAILED, reason="loss is NaN", tests=False)
    found = record(load(ledger.close()))
    assert found is not None
    assert found.axes == ["kd.weight", "kd.temperature", "validation accuracy"]
