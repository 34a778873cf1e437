"""The files that a report owns: it writes and deletes these alone, and refuses places that hold others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import analysis
from analysis import load, write_report, write_results
from cktf.storage import write
from tests.analysis.command import main

OWN = ("figures/mine.svg", "tables/mine.tex", "notes.txt")
"""Files of a user's own."""


@pytest.mark.parametrize("writes", ["write_report", "write_results", "collect"])
def test_files_that_are_not_a_report_s_own_are_left_alone(ablation: Path, tmp_path: Path, writes: str) -> None:
    out = tmp_path / "paper"
    for name in OWN:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    results = load(ablation)
    for _ in range(2):
        if writes == "write_results":
            write_results(results, out)
        else:
            getattr(analysis, writes)(ablation, out)
    assert {(out / name).read_text() for name in OWN} == {"mine"}


@pytest.mark.parametrize("writes", ["write_report", "write_results", "command line"])
@pytest.mark.parametrize(
    "name", ["trials.parquet", "epochs.parquet", "figures/effects.png", "tables/methods.md", "report.json"]
)
def test_a_file_in_the_place_of_one_of_the_report_s_is_refused_before_anything_is_written(
    ablation_writer: Callable[..., Any], tmp_path: Path, name: str, writes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=2)
    ledger.close_segment()
    out = tmp_path / "paper"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    if writes == "command line":
        assert main(["report", str(ledger.run), "--out", str(out)]) == 2
        assert f"{out}/{name}: is " in capsys.readouterr().err
    else:
        with pytest.raises(ValueError, match=rf"^{out}/{name}: is "):
            write_report(ledger.run, out) if writes == "write_report" else write_results(load(ledger.run), out)
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
    assert (out / name).read_text() == "mine"


def test_what_a_killed_report_has_written_is_still_its_own(
    ablation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Any, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            if name == "report.html":
                raise KeyboardInterrupt
            write(folder, name, content)

    with monkeypatch.context() as patched:
        patched.setattr("analysis.report.write.write_all", killed)
        with pytest.raises(KeyboardInterrupt):
            write_report(ablation, tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "effects.svg").is_file()
    paths = write_report(ablation, tmp_path / "out")
    assert Path(paths.html).is_file()
