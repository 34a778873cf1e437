"""The rank map of a search: what is drawn."""

from pathlib import Path

from analysis import load
from analysis.figures.rank_map import record


def test_arms_stand_at_their_levels_and_grow_with_their_rank(search: Path) -> None:
    results = load(search)
    found = record(results)
    assert found is not None
    assert found.axes == ("cktf.temperature", "cktf.theta")
    assert found.are_log == (True, False)
    arms = results.searched.set_index("number")
    for row in found.rows:
        arm = arms.loc[row["number"]]
        assert (row["x"], row["y"]) == (arm["param.objective.cktf.temperature"], arm["param.objective.cktf.theta"])
    judged = [row for row in found.rows if row["status"] != "failed"]
    by_place = sorted(judged, key=lambda row: -row["place"])
    assert by_place[0]["place"] == 1
    assert [row["status"] for row in by_place] == ["complete"] * 51 + ["pruned"] * 6
    assert [row["is_best"] for row in by_place] == [True] * 6 + [False] * 51
    assert {row["place"] for row in found.rows if row["status"] == "failed"} == {0.0}


def test_two_numeric_factors_can_be_asked_for(search: Path) -> None:
    results = load(search)
    found = record(results, ["objective.cktf.theta", "objective.cktf.temperature"])
    assert found is not None
    assert found.axes == ("cktf.theta", "cktf.temperature")
    assert record(results, ["objective.cktf.theta", "objective.cktf.pairing"]) is None


def test_a_design_has_no_rank_map_of_two_factors(grid: Path) -> None:
    assert record(load(grid), ["objective.cktf.temperature", "objective.cktf.theta"]) is None
