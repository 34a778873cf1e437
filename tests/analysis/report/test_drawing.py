"""One figure of a run, as a file of any kind; what is asked for in vain is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load, write_figure
from analysis.figures import FIGURES
from analysis.figures.drawing import all_drawings, applicable, drawing
from analysis.foreign.csv_file import read_csv
from analysis.report.drawing import RENDER
from tests.analysis.command import main

OF_EFFECTS = {"effects", "paired_slopes", "learning_curves"}
OF_A_SEARCH = {"importance", "path", "history", "slices", "rank_map", "parallel", "pareto"}
APPLY = {
    "ablation": OF_EFFECTS | {"marginal"},
    "contexts": OF_EFFECTS,
    "grid": OF_EFFECTS | {"heat_map", "marginal"},
    "search": OF_A_SEARCH,
    "confirmed_search": OF_EFFECTS | OF_A_SEARCH | {"winners_curse"},
}
"""Run to the figures that apply to it."""

BEGINS = {"svg": b"<svg", "pdf": b"%PDF", "png": b"\x89PNG", "html": b"<!doctype html>", "json": b"{"}


@pytest.mark.parametrize("run", APPLY)
def test_every_figure_that_applies_is_drawn_and_says_what_n_is(run: str, request: pytest.FixtureRequest) -> None:
    results = load(request.getfixturevalue(run))
    drawings, why_not = all_drawings(results)
    assert set(drawings) == APPLY[run]
    assert not why_not
    assert {name: drawn.title for name, drawn in drawings.items()} == applicable(results)
    for name, drawn in drawings.items():
        assert RENDER["svg"](drawn).startswith(b"<svg"), name
        assert drawn.caption.endswith("."), name
        json.dumps(drawn.specification, allow_nan=False)


def test_the_suffix_decides_what_is_written(ablation: Path, tmp_path: Path) -> None:
    results = load(ablation)
    assert set(BEGINS) == set(RENDER)
    for suffix, beginning in BEGINS.items():
        place = tmp_path / "new" / f"forest.{suffix}"
        assert write_figure(results, "effects", place) == str(place)
        assert place.read_bytes().startswith(beginning)
    specification = json.loads((tmp_path / "new" / "forest.json").read_text())
    assert "vega-lite" in specification["$schema"]
    assert "temperature=0.5" in (tmp_path / "new" / "forest.svg").read_text()


@pytest.mark.parametrize(
    ("run", "name", "factors", "told"),
    [
        ("ablation", "forest", (), "no figure is called 'forest'; there are: effects, "),
        ("ablation", "history", (), "'history' does not apply: it needs a search with a score"),
        ("grid", "heat_map", ("a", "b"), "no factor 'a'; it has: objective.cktf.temperature, objective"),
        ("grid", "heat_map", ("objective.cktf.theta",), "'heat_map' takes 2 different factors; got: obj"),
        ("grid", "effects", ("objective.cktf.theta",), "'effects' takes no factors; got: objective.cktf"),
        (
            "grid",
            "marginal",
            ("objective.cktf.theta",),
            "does not apply to objective.cktf.theta: it needs a design with a num",
        ),
    ],
)
def test_what_cannot_be_drawn_is_told_with_what_can(
    run: str, name: str, factors: tuple[str, ...], told: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(ValueError) as error:
        drawing(load(request.getfixturevalue(run)), name, factors)
    assert told in str(error.value)


def test_a_character_that_no_picture_can_show_ends_nothing(tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{seed}" for arm in ("baseline", "a\0b\x07") for seed in (1, 2, 4)]
    (tmp_path / "a.csv").write_text("\n".join(["arm,seed,acc", *rows]))
    write_figure(read_csv(tmp_path / "a.csv", metric="acc"), "paired_slopes", tmp_path / "a.svg")
    assert "a\ufffdb\ufffd" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("file", ["forest.gif", "forest", "svg"])
def test_a_suffix_that_is_not_known_is_told(ablation: Path, file: str) -> None:
    with pytest.raises(ValueError, match=rf"{file}: the suffix .* one of \.svg, \.pdf, \.png, \.html, \.json"):
        write_figure(load(ablation), "effects", file)


def test_the_command_line_draws_from_parquet_alone(
    grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["report", str(grid)]) == 0
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in ("trials.parquet", "epochs.parquet"):
        shutil.copy(grid / "report" / name, tables)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["plot", "tables"]) == 0
    assert "Two factors together" in capsys.readouterr().out
    factors = ("--factor", "objective.cktf.theta", "--factor", "objective.cktf.temperature")
    assert main(["plot", "tables/trials.parquet", "--figure", "heat_map", *factors]) == 0
    assert capsys.readouterr().out == "heat_map.svg\n"
    assert (tmp_path / "heat_map.svg").read_text().startswith("<svg")
    assert main(["plot", "tables", "--figure", "importance"]) == 2
    assert capsys.readouterr().err.startswith("figure 'importance' does not apply")
    for options in (["--out", "x.svg"], factors[:2]):
        assert main(["plot", "tables", *options]) == 2
        assert "name it by --figure" in capsys.readouterr().err


def test_every_figure_says_what_it_needs() -> None:
    assert all(figure.needs and figure.title for figure in FIGURES.values())


def test_a_run_to_which_no_figure_applies_says_so(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=[])
    ledger.plan("baseline", 0)
    with pytest.raises(ValueError, match="no figure applies"):
        applicable(load(ledger.close()))
