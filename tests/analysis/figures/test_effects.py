"""The forest of effects: what is drawn."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis import load
from analysis.figures import effects
from analysis.figures.effects import SHAPES, chart, record
from cktf.rows import Status
from cktf.verdicts import Verdict


def test_the_forest_holds_every_arm_in_the_order_of_the_table(ablation: Path) -> None:
    results = load(ablation)
    forest = record(results)
    assert forest is not None
    assert forest.axis == "effect on test accuracy (percentage points)"
    assert [row["label"] for row in forest.rows] == [
        "temperature=0.5  (n = 5)",
        "temperature=0.05  (n = 5)",
        "theta=0.0  (n = 5)",
        "pairing=first  (n = 5)",
    ]
    for row, effect in zip(forest.rows, results.effects.to_dict("records"), strict=True):
        assert (row["effect"], row["low"], row["high"]) == (effect["effect"], effect["low"], effect["high"])
        assert row["verdict"] == effect["verdict"]
    assert forest.rows[0]["verdict"] == "hurts"
    assert forest.edges == []
    assert "Better is to the right" in forest.caption


def test_an_effect_without_interval_is_an_undecided_point(ablation_writer: Callable[..., Any]) -> None:
    forest = record(load(ablation_writer(arms=["baseline", "theta=0.0"], seeds=1, maximise=False).close()))
    assert forest is not None
    (row,) = forest.rows
    assert row["effect"] == pytest.approx(-0.2, abs=2)
    assert (row["low"], row["high"], row["verdict"]) == (None, None, "undecided")
    assert "Better is to the left" in forest.caption
    assert "95%" not in forest.caption


def test_a_long_name_stands_whole_and_with_its_n_in_lines_beside_its_row(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=2)
    name = "temperature=0.3127, pairing=smallest, kd.weight=1, kd.temperature=6.776"
    for seed in range(2):
        ledger.train(ledger.plan(name, seed, {"objective.cktf.temperature": 0.3127}), 80.0 + seed)
    forest = record(load(ledger.close()))
    assert forest is not None
    label = forest.rows[0]["label"]
    assert label.replace("\n", " ") == f"{name}  (n = 2)"
    assert max(map(len, label.split("\n"))) <= 34
    drawn = chart(forest).to_dict()
    assert drawn["height"] >= 14 * len(label.split("\n"))
    axis = drawn["layer"][3]["encoding"]["y"]["axis"]
    assert axis["labelExpr"] == "split(datum.label, '\\n')"
    assert axis["labelOffset"]["expr"] == "-7 * (length(split(datum.value, '\\n')) - 1)"


def test_the_arms_of_several_contexts_are_named_and_stand_context_by_context(contexts: Path) -> None:
    forest = record(load(contexts))
    assert forest is not None
    assert [row["label"] for row in forest.rows] == [
        "digits: kd  (n = 4)",
        "digits: fsp  (n = 4)",
        "clothes: kd  (n = 4)",
    ]
    assert "the baseline of the same context" in forest.caption


def test_a_verdict_is_a_shape_of_its_own_and_delta_a_pair_of_lines(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(delta=2.0)
    forest = record(load(ledger.close()))
    assert forest is not None
    assert "±delta" in forest.caption
    assert "with its 90% interval, and thin the 98.75% intervals" in forest.caption
    for row, effect in zip(forest.rows, load(ledger.run).effects.to_dict("records"), strict=True):
        half = stats.t.ppf(0.95, row["n"] - 1) * effect["sd"] / np.sqrt(row["n"])
        assert (row["low"], row["high"]) == pytest.approx((effect["effect"] - half, effect["effect"] + half))
    drawn = chart(forest).to_dict()
    shape, fill = (drawn["layer"][3]["encoding"][channel]["scale"] for channel in ("shape", "fill"))
    assert shape == {"domain": ["hurts", "equivalent"], "range": ["triangle-down", "square"]}
    assert fill["domain"] == shape["domain"]
    edges = drawn["datasets"][drawn["layer"][4]["data"]["name"]]
    assert edges == [{"edge": -2.0}, {"edge": 2.0}]
    assert len(set(SHAPES.values())) == len(SHAPES)


def test_of_many_arms_those_with_the_largest_effects_are_drawn(ablation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "MAX_ARMS", 2)
    forest = record(load(ablation))
    assert forest is not None
    assert [row["label"] for row in forest.rows] == ["temperature=0.5  (n = 5)", "pairing=first  (n = 5)"]
    assert forest.caption.endswith("Only the 2 arms with the largest effects are drawn, of 4.")


def test_an_arm_that_failed_has_a_row_and_its_word_but_no_point(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    for seed in range(3):
        ledger.train(ledger.plan("broken", seed), 10.0, status=Status.FAILED, tests=False)
    forest = record(load(ledger.close()))
    assert forest is not None
    assert [(row["label"], row["effect"], row["verdict"]) for row in forest.rows if row["effect"] is None] == [
        ("broken  (n = 0)", None, "failed")
    ]
    assert "An arm without a point shares no complete seed with the baseline." in forest.caption
    assert set(SHAPES) == set(Verdict)
    assert '"failed"' in json.dumps(chart(forest).to_dict())


def test_the_simultaneous_intervals_are_drawn_thin_and_end_where_the_drawing_does(ablation: Path) -> None:
    results = load(ablation)
    forest = record(results)
    assert forest is not None
    for row, effect in zip(forest.rows, results.effects.to_dict("records"), strict=True):
        assert row["low_simultaneous"] == effect["low_simultaneous"] < row["low"]
        assert row["thin_low"] == row["low_simultaneous"]
    assert "thin the 98.75% intervals that hold all together" in forest.caption
    assert "beyond it" not in forest.caption
    drawn = chart(forest).to_dict()
    widths = [layer["mark"]["strokeWidth"] for layer in drawn["layer"][1:3]]
    assert widths == sorted(widths)


def test_a_huge_simultaneous_interval_of_two_seeds_does_not_squeeze_the_others(
    ablation_writer: Callable[..., Any],
) -> None:
    forest = record(load(ablation_writer(seeds=2).close()))
    assert forest is not None
    ends = [row[name] for row in forest.rows for name in ("effect", "low", "high")]
    span = max(*ends, 0) - min(*ends, 0)
    assert max(row["thin_high"] for row in forest.rows) <= max(*ends, 0) + span / 2
    assert any(row["thin_high"] < row["high_simultaneous"] for row in forest.rows)
    assert "Thin lines that reach the edge go on beyond it." in forest.caption


def test_contrasts_name_both_sides_and_a_margin_has_a_line(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer(contrasts=[["kd", "fsp"], ["kd", "baseline"]], alternative="worse", margin=0.5)
    forest = record(load(ledger.close()))
    assert forest is not None
    assert [row["arm"] for row in forest.rows] == ["digits: kd against fsp", "digits: kd", "clothes: kd"]
    assert forest.edges == [-0.5]
    assert "with its 90% interval, and thin the 96.67% intervals" in forest.caption
    assert "lies below -0.5 is decided" in forest.caption
    assert "from the other arm of the same context" in forest.caption
    assert '"edge": -0.5' in json.dumps(chart(forest).to_dict())
