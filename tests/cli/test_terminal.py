"""Tables and lines as a terminal shows them, or a pipe."""

import io
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from cktf.cli import terminal
from cktf.cli.studies import _finish
from cktf.cli.terminal import answer_table, table_of
from cktf.driver import Summary
from cktf.errors import InputError
from tests.runs import printed_on


def shown(table: Any, width: int = 60) -> Any:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_table_without_arms_has_its_head_and_what_is_remarked() -> None:
    text = shown(answer_table("Best arms", [["arm", "score"]], ["no arm is complete"]))
    assert "score" in text
    assert "no arm is complete" in " ".join(text.split())


def test_short_names_stay_whole_and_remarks_stand_below() -> None:
    text = shown(answer_table("Effects", [["arm", "n"], ["[bold]kd", "8"]], ["one pair", "", "a remark"]))
    assert "Effects" in text
    assert "[bold]kd" in text, "a name is no markup"
    assert text.index("one pair") < text.index("a remark")


def test_long_names_are_folded_and_leave_room_for_the_figures() -> None:
    name = ", ".join(f"factor{index}=0.12345" for index in range(6))
    lines = shown(answer_table("", [["arm", "effect"], [name, "+1.20 [+0.40, +2.00]"]], [])).splitlines()
    assert max(map(len, lines)) <= 60
    assert any("+1.20 [+0.40, +2.00]" in line for line in lines)


def test_no_column_is_cut_where_long_names_leave_little_room() -> None:
    head = ["arm", "n", "test accuracy (%), mean ± sd", "effect [95% interval]", "p (Holm)", "verdict"]
    name = ", ".join(f"factor{index}=0.12345" for index in range(6))
    row = [name, "3", "50.82 ± 17.23", "+5.46 [−4.02, +14.95]", "0.39", "undecided, detectable: ±19.40"]
    lines = shown(answer_table("", [head, row], []), width=80).splitlines()
    assert {line.strip()[-1] for line in lines if line.strip()} == set("┓┃┩│┘")


def test_names_stand_beside_what_they_mean() -> None:
    assert "effects" in shown(table_of(("figure", "what it shows"), [("effects", "Effects")]))


@pytest.mark.parametrize(("is_interrupted", "end"), [(True, typer.Exit), (False, InputError)])
def test_how_a_driver_ended_is_one_line_in_a_pipe_however_long_it_is(
    is_interrupted: bool, end: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "out", Console(file=io.StringIO(), width=80))
    run = str(tmp_path / ("a folder with a long name " * 3))
    summary = Summary(run, 2, 0, 1, {}, {}, 0, is_interrupted, 9.0)
    with pytest.raises(end):  # there are no results to show
        _finish(summary)
    (line,) = printed_on(terminal.out).splitlines()
    assert line == summary.in_words()
    assert len(line) > 80
