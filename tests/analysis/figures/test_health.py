"""The figure of the distillation's health."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load
from analysis.figures import health
from analysis.figures.drawing import drawing
from analysis.figures.health import chart, record
from analysis.figures.shown import panels_in
from analysis.ledger.collect import ledger_tables
from analysis.report.drawing import RENDER
from analysis.statistics.health import BOUNDS
from cktf.ledger_lines import parse_row
from cktf.rows import EpochRow


def test_every_number_has_a_panel_with_the_means_of_a_few_arms(measured: Path) -> None:
    drawn = record(load(measured))
    assert drawn is not None
    assert panels_in(drawn.rows) == ["agreement (%)", "KL (nats)", "CKA: stage1", "gap of scores: cktf.stage1.teacher"]
    assert drawn.arms == ["baseline", "theta=0.0", "pairing=first"]
    rows = ledger_tables(measured)[1].to_pylist()
    for arm, epoch in (("baseline", 2), ("pairing=first", 4)):
        values = [row["health.kl"] for row in rows if row["arm"] == arm and row["epoch"] == epoch]
        (point,) = [row for row in drawn.rows if (row["panel"], row["arm"], row["epoch"]) == ("KL (nats)", arm, epoch)]
        assert point["n"] == 5
        assert point["mean"] == pytest.approx(sum(values) / 5, rel=1e-3)
        assert point["low"] < point["mean"] < point["high"]
    of_the_gap = {row["arm"] for row in drawn.rows if row["panel"].startswith("gap")}
    assert of_the_gap == {"baseline", "pairing=first"}


def test_of_many_numbers_those_are_drawn_that_moved_most(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = load(measured)
    unselected = record(results)
    assert unselected is not None
    assert "with its 95% interval" in unselected.caption
    assert "selected" not in unselected.caption
    monkeypatch.setattr(health, "MAX_PANELS", 3)
    drawn = record(results)
    assert drawn is not None
    sizes = results.health.groupby("measure")["statistic"].agg(lambda t: t.abs().max())
    assert sizes["cka.stage1"] > sizes["gap.cktf.stage1.teacher"]
    assert panels_in(drawn.rows) == ["agreement (%)", "KL (nats)", "CKA: stage1"]
    assert "Of 4 numbers, 3 are drawn: agreement, KL, and those that differ most from the baseline's at the end." in (
        drawn.caption
    )
    # 3 of 4 were chosen: 1 - 0.05 x 3/4.
    assert "with its 96.25% interval" in drawn.caption
    assert "those of the selected" in drawn.caption
    whole = next(row for row in unselected.rows if row["panel"] == "KL (nats)")
    wider = next(row for row in drawn.rows if row["panel"] == "KL (nats)")
    assert wider["high"] - wider["low"] > whole["high"] - whole["low"]
    vars(results)["health"] = results.health[results.health["measure"].isin(["agreement", "kl"])]
    drawn = record(results)
    assert drawn is not None
    assert "at the end, then some that it does not have." in drawn.caption


def test_of_many_arms_those_with_the_largest_effects_stand_beside_the_baseline(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LINES", health.LINES[:2])
    drawn = record(load(measured))
    assert drawn is not None
    assert drawn.arms == ["baseline", "pairing=first"]
    assert "arms with the largest effects are drawn, of 2." in drawn.caption


def test_bands_end_where_numbers_do(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record(load(measured))
    monkeypatch.setitem(BOUNDS, "kl", (0.39, 0.41))
    cut = record(load(measured))
    assert whole is not None
    assert cut is not None
    for before, after in zip(whole.rows, cut.rows, strict=True):
        if before["panel"] != "KL (nats)":
            assert before == after
        else:
            assert after["mean"] == before["mean"]
            assert (after["low"], after["high"]) == (
                min(max(before["low"], 0.39), 0.41),
                min(max(before["high"], 0.39), 0.41),
            )
    assert any(before != after for before, after in zip(whole.rows, cut.rows, strict=True))


def test_the_figure_draws(measured: Path) -> None:
    drawn = record(load(measured))
    assert drawn is not None
    assert chart(drawn).to_dict()["resolve"]["scale"] == {"y": "independent"}
    assert RENDER["svg"](drawing(load(measured), "health"))


def test_the_figure_does_not_apply_where_nothing_was_measured(ablation: Path) -> None:
    with pytest.raises(ValueError, match="whose study measures 'health:'"):
        drawing(load(ablation), "health")


def test_a_context_has_its_own_baseline_and_the_first_one_is_drawn(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer(seeds=2)
    rows = [parse_row(line) for line in ledger.lines]
    ledger.lines.clear()
    ledger.add(*(replace(row, health={"kl": row.epoch / 7}) if isinstance(row, EpochRow) else row for row in rows))
    drawn = record(load(ledger.close()))
    assert drawn is not None
    assert drawn.arms == ["baseline", "kd", "fsp"]
    assert "in context digits" in drawn.caption


def test_of_several_teachers_at_a_seed_the_mean_counts_once(measured: Path) -> None:
    results = load(measured)
    alone = record(results)
    epochs, trials = [], []
    for teacher, shift in enumerate((-0.1, 0.1)):
        named: dict[str, Any] = {"trial_id": results.epochs["trial_id"].astype("str") + str(teacher)}
        epochs.append(results.epochs.assign(**named, **{"health.kl": results.epochs["health.kl"] + shift}))
        taught: dict[str, Any] = {"teacher_id": f"t{teacher}", "config.teacher.seed": teacher}
        trials.append(results.trials.assign(trial_id=results.trials["trial_id"] + str(teacher), **taught))
    both = record(replace(results, trials=pd.concat(trials), epochs=pd.concat(epochs)))
    assert alone is not None
    assert both is not None
    # Teachers on both sides of a seed's value have it as their mean: no more seeds, and no narrower interval.
    assert both.rows == alone.rows
