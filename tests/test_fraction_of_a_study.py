"""A fraction of three factors, trained for real without Ray: from the study to its main effects."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import load
from cktf.rows import PlannedRow
from cktf.storage import Storage
from cktf.study.designs import plan_arms, smoke_study
from tests.kinds import MakeSpec

FRACTION: dict[str, list[float]] = {"optimizer.momentum": [0.9, 0.0], "batch_size": [32, 64], "epochs": [2, 1]}


def test_main_effects_are_those_of_the_trained_arms(
    make_spec: MakeSpec, train_without_ray: Callable[..., list[tuple[PlannedRow, float | None]]], tmp_path: Path
) -> None:
    spec = make_spec(fractional=FRACTION, resolution=3, seeds=2)
    run = Storage(tmp_path / "run")
    tested: dict[tuple[float, ...], list[float]] = {}
    for row, accuracy in train_without_ray(spec, run):
        assert accuracy is not None
        cell = row.config["optimizer"]["momentum"], row.config["batch_size"], row.config["epochs"]
        tested.setdefault(cell, []).append(accuracy)
    assert set(tested) == {(0.9, 32, 2), (0.9, 64, 1), (0.0, 32, 1), (0.0, 64, 2)}

    results = load(run.root)
    assert results.facts.study.design == "fractional"
    table = results.interactions.set_index("factor")
    mean = {cell: sum(scores) / len(scores) for cell, scores in tested.items()}
    for position, factor in enumerate(FRACTION):
        first = [score for cell, score in mean.items() if cell[position] == FRACTION[factor][0]]
        other = [score for cell, score in mean.items() if cell[position] == FRACTION[factor][1]]
        assert table.at[factor, "effect"] == pytest.approx(sum(other) / 2 - sum(first) / 2)
    assert table.at["epochs", "aliases"] == "−optimizer.momentum=0.0 × batch_size=64"
    assert table["n"].unique().tolist() == [8]


def test_a_smoke_run_trains_the_runs_that_differ_in_it(make_spec: MakeSpec) -> None:
    spec = smoke_study(make_spec(fractional={**FRACTION, "epochs": [20, 30]}, resolution=3))
    assert len(plan_arms(spec)) == 4
    assert {arm.config.epochs for arm in plan_arms(spec)} == {2}
