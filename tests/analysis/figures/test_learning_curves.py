"""Learning curves: what is drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.figures import learning_curves
from analysis.figures.learning_curves import chart, record
from analysis.figures.shown import panels_in
from cktf.ledger_lines import parse_row
from cktf.rows import EpochRow


def test_a_panel_shows_an_arm_before_the_baseline(ablation: Path) -> None:
    results = load(ablation)
    curves = record(results)
    assert curves is not None
    assert curves.axis == "validation accuracy (%)"
    assert panels_in(curves.rows)[0] == "temperature=0.5  (n = 5)"
    panel = [row for row in curves.rows if row["panel"] == panels_in(curves.rows)[0]]
    assert [(row["series"], row["epoch"]) for row in panel] == [
        (series, epoch) for series in ("baseline", "arm") for epoch in (1, 2, 3, 4)
    ]
    epochs = results.epochs
    last = epochs[(epochs["arm"] == "temperature=0.5") & (epochs["epoch"] == 4)]["validation_accuracy"]
    assert panel[-1]["mean"] == pytest.approx(last.mean(), abs=1e-4)
    assert panel[-1]["low"] < panel[-1]["mean"] < panel[-1]["high"]
    assert {row["n"] for row in curves.rows} == {5}


def test_a_curve_begins_with_the_first_phase_that_is_scored(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=2)
    for row in map(parse_row, list(ledger.lines)):
        if isinstance(row, EpochRow) and row.epoch <= 2:  # of several rows of one epoch, the last one holds
            unscored: dict[str, Any] = {"validation_accuracy": None, "validation_loss": None, "train_accuracy": None}
            ledger.add(replace(row, phase="transfer", **unscored))
    curves = record(load(ledger.close()))
    assert curves is not None
    assert {row["epoch"] for row in curves.rows} == {3, 4}
    assert "phase transfer gives no value" in curves.caption


def test_one_seed_has_a_curve_without_a_band(ablation_writer: Callable[..., Any]) -> None:
    curves = record(load(ablation_writer(arms=["baseline", "theta=0.0"], seeds=1).close()))
    assert curves is not None
    assert {(row["low"], row["high"]) for row in curves.rows} == {(None, None)}
    assert "95%" not in curves.caption
    assert "Bands" not in curves.caption


def test_the_scale_holds_all_means_and_the_last_intervals_but_not_every_band(ablation: Path) -> None:
    curves = record(load(ablation))
    assert curves is not None
    assert curves.domain is not None
    low, high = curves.domain
    held = [row["mean"] for row in curves.rows]
    held += [row[end] for row in curves.rows if row["epoch"] == 4 for end in ("low", "high")]
    assert (low + high) / 2 == pytest.approx((min(held) + max(held)) / 2, abs=1e-3)
    assert high - low == pytest.approx(1.1 * (max(held) - min(held)), abs=1e-3)
    assert min(row["low"] for row in curves.rows) < low
    _, line = chart(curves).to_dict()["spec"]["layer"]
    assert line["encoding"]["y"]["scale"] == {"clamp": True, "domain": [low, high], "zero": False}


def test_no_band_leaves_what_an_accuracy_can_be(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=[])
    for seed, score in enumerate((20.0, 60.0)):
        ledger.train(ledger.plan("baseline", seed), score)
    curves = record(load(ledger.close()))
    assert curves is not None
    assert (curves.rows[-1]["low"], curves.rows[-1]["high"]) == (0, 100)
    assert curves.domain == (-5.0, 105.0)


def test_a_study_of_the_baseline_alone_shows_its_curve(ablation_writer: Callable[..., Any]) -> None:
    curves = record(load(ablation_writer(arms=["baseline"], seeds=2).close()))
    assert curves is not None
    assert panels_in(curves.rows) == ["baseline  (n = 2)"]


def test_arms_without_a_baseline_are_shown_alone(
    ablation_writer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = load(ablation_writer(arms=["theta=0.0", "pairing=first"], seeds=2).close())
    curves = record(results)
    assert curves is not None
    assert panels_in(curves.rows) == ["theta=0.0  (n = 2)", "pairing=first  (n = 2)"]
    assert {row["series"] for row in curves.rows} == {"arm"}
    monkeypatch.setattr(learning_curves, "MAX_PANELS", 1)
    curves = record(results)
    assert curves is not None
    assert panels_in(curves.rows) == ["theta=0.0  (n = 2)"]
    assert curves.caption.endswith(" Only the first 1 arms are drawn, of 2.")


def test_of_many_arms_those_with_the_largest_effects_are_drawn(ablation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_curves, "MAX_PANELS", 2)
    curves = record(load(ablation))
    assert curves is not None
    assert panels_in(curves.rows) == ["temperature=0.5  (n = 5)", "pairing=first  (n = 5)"]
    assert "the 2 arms with the largest effects are drawn, of 4" in curves.caption


def test_an_arm_without_scores_on_the_way_has_no_panel(ablation: Path) -> None:
    results = load(ablation)
    scored = results.epochs[results.epochs["arm"] != "pairing=first"]  # as of another program that told of some alone
    curves = record(replace(results, epochs=scored))
    assert curves is not None
    assert panels_in(curves.rows) == [f"{arm}  (n = 5)" for arm in ("temperature=0.5", "temperature=0.05", "theta=0.0")]


def test_behind_an_arm_stands_the_baseline_of_its_own_context(contexts: Path) -> None:
    results = load(contexts)
    curves = record(results)
    assert curves is not None
    assert panels_in(curves.rows) == ["digits: kd  (n = 4)", "digits: fsp  (n = 4)", "clothes: kd  (n = 4)"]
    epochs = results.epochs
    for panel, context in zip(panels_in(curves.rows), ("digits", "digits", "clothes"), strict=True):
        rows = [row for row in curves.rows if row["panel"] == panel and row["series"] == "baseline"]
        of_baseline = epochs[(epochs["context"] == context) & (epochs["arm"] == "baseline")]
        last = of_baseline.loc[of_baseline["epoch"] == 4, "validation_accuracy"]
        assert rows[-1]["mean"] == pytest.approx(last.mean(), abs=1e-4)
    assert curves.domain is None
    assert chart(curves).to_dict()["resolve"]["scale"] == {"y": "independent"}
