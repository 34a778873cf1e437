"""Slices of a search: what is drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from analysis import load
from analysis.figures.slices import chart, record
from tests.analysis.ledgers import LedgerWriter


def test_every_arm_stands_in_every_panel_with_the_score_it_has(search: Path) -> None:
    results = load(search)
    slices = record(results)
    assert slices is not None
    assert slices.panels[0].title.startswith("cktf.temperature")
    assert all(panel.title.endswith("(n = 60)") for panel in slices.panels)
    assert slices.statuses == ["complete", "pruned", "failed"]
    scores = results.searched.set_index("number")["score"]
    for panel in slices.panels:
        assert [row["number"] for row in panel.rows] == list(range(1, 61))
        for row in panel.rows:
            assert (row["score"] is None) == (row["status"] != "complete")
            assert row["score"] is None or row["score"] == scores[row["number"]]
    assert "51 complete arms" in slices.caption
    assert "The 6 pruned and 3 failed arms stand below" in slices.caption


def test_axes_are_logarithmic_where_the_search_was_and_choices_stay_words(search: Path) -> None:
    slices = record(load(search))
    assert slices is not None
    panels = {panel.title.partition(" ")[0]: panel for panel in slices.panels}
    assert {name: panel.is_log for name, panel in panels.items()} == {
        "cktf.temperature": True,
        "cktf.theta": False,
        "cktf.pairing": False,
    }
    assert panels["cktf.pairing"].choices == ["first", "last"]
    specification = chart(slices).to_dict()
    assert [panel["layer"][0]["encoding"]["x"]["type"] for panel in specification["concat"]].count("nominal") == 1


def test_captions_speak_of_one_arm_as_of_one(search_writer: Callable[..., LedgerWriter]) -> None:
    results = load(search_writer(trials=19).close())  # the tenth is pruned, and the sixth has failed
    counts = results.searched["status"].value_counts()
    assert (counts["pruned"], counts["failed"]) == (1, 1)
    without = results.searched["arm_id"][results.searched["status"] == "failed"]
    one = replace(results, trials=results.trials[~results.trials["arm_id"].isin(without)])
    assert "The 1 pruned arm stands below, for it has no final score." in one.figure("slices").caption
    assert "The 1 pruned arm (dotted) has no final" in results.figure("parallel").caption
    assert "(1 of them pruned; 1 failed one is left out)" in results.figure("importance").caption
