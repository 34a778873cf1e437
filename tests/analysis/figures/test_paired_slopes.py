"""Paired slopes: what is drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load, read_csv
from analysis.figures import learning_curves, paired_slopes
from analysis.figures.drawing import drawing
from analysis.figures.paired_slopes import chart, record
from analysis.figures.shown import panels_in
from analysis.report.drawing import RENDER

SCORES = {"baseline": [90.0, 91.0, 92.0], "theta=0.0": [91.0, 90.5, 94.5]}


@pytest.fixture
def three_seeds(ablation_writer: Callable[..., Any]) -> Callable[..., Path]:
    """Return a maker of a run whose scores are those above; the arm has a fourth seed, which the baseline lacks."""

    def write(**study: Any) -> Path:
        ledger = ablation_writer(arms=[], **study)
        for arm, scores in SCORES.items():
            params = {} if arm == "baseline" else {"objective.cktf.theta": 0.0}
            for seed, score in enumerate(scores):
                ledger.train(ledger.plan(arm, seed, params), score)
        ledger.train(ledger.plan("theta=0.0", 3, {"objective.cktf.theta": 0.0}), 99.0)
        run: Path = ledger.close()
        return run

    return write


def test_every_complete_pair_is_a_line_and_the_last_one_joins_the_means(three_seeds: Any) -> None:
    slopes = record(load(three_seeds()))
    assert slopes is not None
    assert slopes.axis == "test accuracy (%)"
    assert panels_in(slopes.rows) == ["theta=0.0  (n = 3)"]
    assert [(row["seed"], row["side"], row["score"]) for row in slopes.rows] == [
        *(("0", "baseline", 90.0), ("0", "arm", 91.0)),
        *(("1", "baseline", 91.0), ("1", "arm", 90.5)),
        *(("2", "baseline", 92.0), ("2", "arm", 94.5)),
        *(("mean", "baseline", 91.0), ("mean", "arm", 92.0)),
    ]
    assert [row["kind"] for row in slopes.rows[::2]] == [
        *("better at this seed", "not better", "better at this seed", "mean")
    ]


def test_where_smaller_is_better_the_other_lines_are_the_better_ones(three_seeds: Any) -> None:
    slopes = record(load(three_seeds(maximise=False)))
    assert slopes is not None
    assert [row["kind"] for row in slopes.rows[:6:2]] == ["not better", "better at this seed", "not better"]


def test_small_scores_are_drawn_where_they_are(tmp_path: Path) -> None:
    rows = [f"{arm},{seed},1,{size}e-6" for arm, size in (("baseline", 3), ("kd", 2)) for seed in range(3)]
    (tmp_path / "errors.csv").write_text("\n".join(["arm,seed,epoch,mse", *rows]) + "\n")
    results = read_csv(tmp_path / "errors.csv", metric="mse", maximise=False, step="epoch")
    slopes, curves = record(results), learning_curves.record(results)
    assert slopes is not None
    assert curves is not None
    assert {row["score"] for row in slopes.rows} == {row["mean"] for row in curves.rows} == {2e-6, 3e-6}


def test_of_many_seeds_some_are_drawn_and_the_mean_is_that_of_all(
    three_seeds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired_slopes, "MAX_SEEDS", 2)
    slopes = record(load(three_seeds()))
    assert slopes is not None
    assert [row["score"] for row in slopes.rows] == [90.0, 91.0, 91.0, 90.5, 91.0, 92.0]
    assert slopes.caption.endswith("Of an arm's pairs, the first 2 are drawn; the mean is that of all.")


def test_an_arm_stands_beside_the_baseline_of_its_own_context(contexts: Path) -> None:
    results = load(contexts)
    slopes = record(results)
    assert slopes is not None
    assert panels_in(slopes.rows) == ["digits: kd  (n = 4)", "digits: fsp  (n = 4)", "clothes: kd  (n = 4)"]
    assert not slopes.shares_axis
    trials = results.trials.set_index(["context", "arm", "seed"])["test_accuracy"]
    (clothes,) = (
        row["score"]
        for row in slopes.rows
        if (row["panel"], row["seed"], row["side"]) == ("clothes: kd  (n = 4)", "2", "baseline")
    )
    assert clothes == pytest.approx(trials["clothes", "baseline", 2], abs=1e-4)


def test_panels_of_a_grid_stand_in_the_order_of_its_levels(grid: Path) -> None:
    results = load(grid)
    slopes, curves = record(results), learning_curves.record(results)
    assert slopes is not None
    assert curves is not None
    names = [panel.partition("  (")[0] for panel in panels_in(slopes.rows)]
    assert [panel.partition("  (")[0] for panel in panels_in(curves.rows)] == names
    assert names == [
        *("temperature=0.1, theta=0.0", "temperature=0.5, theta=0.0", "temperature=0.5, theta=0.1"),
        *("temperature=1.0, theta=0.0", "temperature=1.0, theta=0.1"),
    ]


def test_what_an_arm_is_compared_with_is_the_baseline_only_where_it_is(contexts_writer: Callable[..., Any]) -> None:
    slopes = record(load(contexts_writer(contrasts=[["kd", "fsp"]]).close()))
    assert slopes is not None
    assert {row["side"] for row in slopes.rows} == {"other side", "arm"}
    drawn = chart(slopes).to_dict()
    assert [layer["encoding"]["x"]["sort"] for layer in drawn["spec"]["layer"]] == [["other side", "arm"]] * 2


def test_the_legend_names_every_kind_of_line(three_seeds: Any) -> None:
    results = load(three_seeds())
    slopes = record(results)
    assert slopes is not None
    svg = RENDER["svg"](drawing(results, "paired_slopes")).decode()
    for kind in {row["kind"] for row in slopes.rows}:
        assert f">{kind}<" in svg
