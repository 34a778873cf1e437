"""The heat map of two factors: what is drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.figures.heat_map import DEEP, PALE, SWITCH, record
from analysis.figures.shown import panels_in
from cktf.rows import Status

TEMPERATURE, THETA, PAIRING = (f"objective.cktf.{name}" for name in ("temperature", "theta", "pairing"))


def test_a_cell_is_the_mean_of_the_trials_at_both_levels(grid: Path) -> None:
    results = load(grid)
    heat_map = record(results)
    assert heat_map is not None
    assert heat_map.axes == ("cktf.temperature", "cktf.theta")
    assert heat_map.measure == "test accuracy (%), mean"
    assert heat_map.columns == ["0.1", "0.5", "1"]
    assert heat_map.rows == ["0.1", "0"]  # numbers grow upwards
    assert panels_in(heat_map.cells) == [""]
    trials = results.trials
    for cell in heat_map.cells:
        at_both = trials[
            (trials[f"param.{TEMPERATURE}"] == float(cell["column"])) & (trials[f"param.{THETA}"] == float(cell["row"]))
        ]
        assert cell["score"] == pytest.approx(at_both["test_accuracy"].sum() / 5, abs=1e-4)
        assert (cell["n"], cell["text"]) == (5, f"{cell['score']:.2f}")
    # By construction temperature 1 is worst beside theta 0.1: see grid_accuracy.
    worst = min(heat_map.cells, key=lambda cell: cell["shade"])
    assert (worst["column"], worst["row"], worst["shade"]) == ("1", "0.1", 0.0)
    assert max(cell["shade"] for cell in heat_map.cells) == 1.0


def test_n_says_that_trials_of_several_teachers_at_a_seed_are_one(grid: Path) -> None:
    results = load(grid)
    parts = [
        results.trials.assign(trial_id=results.trials["trial_id"] + str(seed), **{"config.teacher.seed": seed})
        for seed in (0, 1)
    ]
    crossed = replace(results, trials=pd.concat([part.assign(teacher_id="t") for part in parts], ignore_index=True))
    for drawn, said in (
        (results, "n counts the trials."),
        (crossed, "n counts the trials, those of all teachers at a"),
    ):
        heat_map = record(drawn)
        assert heat_map is not None
        assert {cell["n"] for cell in heat_map.cells} == {5}
        assert said in heat_map.caption
        assert said in drawn.figure("marginal").caption


def test_over_a_third_factor_every_arm_counts_once(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=[], design="grid", maximise=False, factors=[PAIRING, TEMPERATURE, THETA])
    for index, (pairing, temperature, theta) in enumerate(
        (pairing, temperature, theta)
        for pairing in ("first", "last")
        for temperature in (0.1, 0.5)
        for theta in (0.0, 0.1)
    ):
        params = {PAIRING: pairing, TEMPERATURE: temperature, THETA: theta}
        for seed in range(1 + index % 2):  # one seed at theta 0, two at 0.1
            ledger.train(ledger.plan(f"arm-{index}", seed, params), 80.0 + index)
    ledger.train(ledger.plan("arm-0", 7, {PAIRING: "first"}), 10.0, status=Status.FAILED, tests=False)
    heat_map = record(load(ledger.close()))
    assert heat_map is not None
    assert heat_map.axes == ("cktf.temperature", "cktf.pairing")  # numbers across, words down
    assert {(c["row"], c["column"]): (c["score"], c["n"], c["shade"]) for c in heat_map.cells} == {
        ("first", "0.1"): (80.5, 3, 1.0),
        ("first", "0.5"): (82.5, 3, round(1 - 2 / 6, 4)),
        ("last", "0.1"): (84.5, 3, round(1 - 4 / 6, 4)),
        ("last", "0.5"): (86.5, 3, 0.0),  # where smaller is better, the largest is the palest
    }
    assert "whatever its level of cktf.theta" in heat_map.caption


def test_an_arm_with_several_names_stands_in_each_of_their_cells(grid_writer: Callable[..., Any]) -> None:
    other = {"arm": "temperature=0.1, theta=0.0", "params": {TEMPERATURE: 0.1, THETA: 0.0}}
    results = load(grid_writer(aliases={"temperature=0.5, theta=0.0": [other]}).close())
    heat_map = record(results)
    assert heat_map is not None
    cells = {(cell["column"], cell["row"]): (cell["score"], cell["n"]) for cell in heat_map.cells}
    assert len(cells) == 6
    assert cells["0.1", "0"] == cells["0.5", "0"] != cells["1", "0"]
    assert cells["0.1", "0"][1] == 5
    assert "Cells of arms that train alike show the same trials." in heat_map.caption


def test_a_search_has_no_heat_map_of_two_factors(search: Path) -> None:
    assert record(load(search), (THETA, PAIRING)) is None


def test_the_text_of_a_cell_can_be_read_on_every_shade() -> None:
    pale, deep = (np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) for colour in (PALE, DEEP))
    for shade in np.linspace(0, 1, 101):
        channels = (pale + shade * (deep - pale)) / 255
        linear = np.where(channels > 0.04045, ((channels + 0.055) / 1.055) ** 2.4, channels / 12.92)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        contrast = 1.05 / (luminance + 0.05) if shade > SWITCH else (luminance + 0.05) / 0.05
        assert contrast >= 4.5, shade
