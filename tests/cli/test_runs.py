"""The commands of a day's work: list runs, show a trial, compare settings, watch."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import analysis
from analysis.ledger.columns import metadata_of, parquet_bytes
from cktf.cli import runs, terminal
from cktf.rows import FACTS_KEY, EndRow, PlannedRow, Status
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.one_trial import BARS, WIDEST, sparkline
from cktf.storage import Storage
from tests.cli.commands import cktf, message_for
from tests.runs import begin, rows_of

STORED = Path(__file__).parents[1] / "analysis" / "stored_runs"
STUDIES = Path(__file__).parents[2] / "search_spaces"


@pytest.fixture(scope="module")
def ablation() -> analysis.Results:
    return analysis.load(STORED / "ablation")


@pytest.fixture(scope="module")
def effects(ablation: analysis.Results) -> pd.DataFrame:
    return ablation.effects


@pytest.fixture
def places(ablation: analysis.Results, effects: pd.DataFrame, tmp_path: Path) -> Path:
    """Return a folder whose ``runs`` has two runs, one of them with a report, and one that is damaged."""
    for name, place in (("ablation", "ablation"), ("search", "july/search")):
        shutil.copytree(STORED / name, tmp_path / "runs" / place)
    report = tmp_path / "runs" / "ablation" / "report"
    report.mkdir()
    table = pa.Table.from_pandas(effects).replace_schema_metadata(metadata_of(ablation.facts))
    (report / "effects.parquet").write_bytes(parquet_bytes(table))
    ledger = tmp_path / "runs" / "damaged" / "ledger"
    ledger.mkdir(parents=True)
    (ledger / "000001.jsonl").write_text('{"kind": "none"}\n{"kind": "none"}\n')
    return tmp_path


def test_the_list_has_every_run_with_its_state_and_verdicts(effects: pd.DataFrame, places: Path) -> None:
    code, out, err = cktf("list", cwd=places)
    assert code == 0
    said = " ".join(out.replace("│", " ").split())
    assert "interrupted: 29 of 30 trials, 6 failed" in said
    assert "complete: 50 of 50 trials, 4 pruned, 2 failed" in said
    assert "july/search" in said
    assert "Which temperature and theta suit digits?" in said
    verdicts = dict(zip(effects["arm"], effects["verdict"], strict=True))
    decided = [arm for arm, verdict in verdicts.items() if verdict in ("helps", "hurts")]
    assert decided
    for arm in decided:
        assert arm in said
    assert "latest rows" not in said
    assert err.count("\n") == 1
    assert "damaged/ledger/000001.jsonl, line 1" in err


def test_a_list_says_when_a_report_lacks_rows_of_the_ledger_whatever_times_a_copy_has(places: Path) -> None:
    run = places / "runs" / "ablation"
    os.utime(run / "report" / "effects.parquet", (0, 0))
    assert "latest rows" not in cktf("list", "runs/ablation", cwd=places)[1]
    os.utime(run / "report" / "effects.parquet", (4e9, 4e9))
    with Ledger(Storage(run)) as ledger:
        ledger.append(next(read_ledger(Storage(run))))
        code, out, _ = cktf("list", "runs/ablation", cwd=places)
    assert code == 0
    said = " ".join(out.replace("│", " ").split())
    assert "at work: 29 of 30" in said
    assert "(before the latest rows)" in said


def test_a_list_has_runs_with_a_damaged_report_too(places: Path) -> None:
    file = places / "runs" / "ablation" / "report" / "effects.parquet"
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({FACTS_KEY: b"{"}), facts := places / "facts.parquet")
    for content in (file.read_bytes()[:-100], facts.read_bytes()):
        file.write_bytes(content)
        code, out, _ = cktf("list", "runs/ablation", cwd=places)
        assert code == 0
        said = " ".join(out.replace("│", " ").split())
        assert "interrupted: 29 of 30 trials, 6 failed" in said
        assert "report/effects.parquet is damaged" in said


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    assert "runs: there is no run in it" in message_for("list", cwd=tmp_path)
    assert "absent: there is no run in it" in message_for("list", "absent", cwd=tmp_path)


def test_list_and_show_load_neither_pytorch_nor_ray_nor_pandas(places: Path) -> None:
    for command in (["list"], ["show", "runs/ablation", "--arm", "baseline", "--seed", "0"]):
        program = (
            "import sys\nfrom cktf.cli.app import app\n"
            f"try:\n    app({command})\nexcept SystemExit:\n    pass\n"
            "print({'ray', 'torch', 'optuna', 'pandas'} & sys.modules.keys())"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=places)
        assert done.stdout.splitlines()[-1] == "set()"
        assert len(done.stdout.splitlines()) > 5


def test_a_trial_is_shown_by_its_id_or_its_arm_and_seed(places: Path) -> None:
    folder = places / "runs" / "ablation" / "trials" / "1728f92c428fc7ab"
    folder.mkdir(parents=True)
    (folder / "error.txt").write_text("Traceback")
    code, out, _ = cktf("show", "runs/ablation", "1728", cwd=places)
    assert code == 0
    assert out == cktf("show", "runs/ablation", "--arm", "temperature=0.5", "--seed", 0, cwd=places)[1]
    said = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "status complete" in said
    assert "validation_accuracy ▁▆█ first 84.33, best 86.67 (epoch 4), last 86.67" in said
    assert "objective.cktf.temperature 0.1 0.5" in said
    assert str(folder / "error.txt") in said
    changed = said[next(at for at, line in enumerate(said) if line.startswith("setting ") or " setting " in line) :]
    assert sum(line.startswith("objective.") for line in changed) == 1, "nothing else differs"


def test_a_failed_trial_is_shown_with_its_reason_and_an_arm_of_one_context_by_that(places: Path) -> None:
    _, out, _ = cktf("show", "runs/ablation", "95625f0181e8d1a5", cwd=places)
    assert "loss is NaN" in out
    contexts = STORED / "contexts"
    told = message_for("show", contexts, "--arm", "kd", "--seed", 0, cwd=places)
    assert "--arm 'kd' --seed 0: 2 trials; there are: " in told
    assert "(digits: kd, seed 0)" in told
    code, out, _ = cktf("show", contexts, "--arm", "digits: kd", "--seed", 0, cwd=places)
    assert code == 0
    assert "369050b35afd2edb" in out


def test_of_a_search_the_factors_are_shown(places: Path) -> None:
    _, out, _ = cktf("show", "runs/july/search", "db8f", cwd=places)
    assert "objective.cktf.pairing" in out
    assert "first" in out


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((), "TRIAL: give the beginning of a trial's id, or --arm and --seed"),
        (("--arm", "baseline"), "TRIAL: give the beginning of a trial's id, or --arm and --seed"),
        (("ab2c", "--seed", "0"), "TRIAL: give the beginning of a trial's id, or --arm and --seed"),
        (("zz",), "TRIAL: 'zz': no trials; there are: ab2c1c9a4f93f7c4 (baseline, seed 0), "),
        (("",), "TRIAL: '': 30 trials; there are: "),
        (("--arm", "none", "--seed", "0"), "--arm 'none' --seed 0: no trials; there are: ab2c"),
        (("--arm", "baseline", "--seed", "99"), "--arm 'baseline' --seed 99: no trials; there are: ab2c"),
    ],
)
def test_a_trial_that_is_not_there_is_told_with_those_that_are(asked: tuple[str, ...], told: str) -> None:
    assert message_for("show", STORED / "ablation", *asked, cwd=STORED).startswith(told)


def test_a_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert sparkline([*range(8)]) == BARS
    assert sparkline([5.0, 5.0]) == BARS[0] * 2
    assert len(sparkline([*range(1000)])) <= WIDEST


def cells(out: str) -> dict[str, tuple[str, ...]]:
    """Return the first cell of each row of a table to the others."""
    rows = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in out.splitlines() if line[0] == "│"]
    return {row[0]: tuple(row[1:]) for row in rows}


def test_two_arms_of_a_study_differ_in_what_the_study_says(study: Path, tmp_path: Path) -> None:
    code, out, _ = cktf("diff", study, "--arm", "careful", "--arm", "diverging", cwd=tmp_path)
    assert code == 0
    assert cells(out) == {"optimizer.learning_rate": ("0.01", "1.0e+18")}
    assert "careful" in out
    baseline = cells(cktf("diff", study, "--arm", "careful", cwd=tmp_path)[1])
    assert [*baseline] == ["optimizer.learning_rate"]
    assert baseline["optimizer.learning_rate"][1] == "0.01"
    _, out, _ = cktf("diff", study, "--arm", "baseline", cwd=tmp_path)
    assert out == "no setting differs between baseline and baseline\n"
    text = study.read_text()
    several = tmp_path / "several.yaml"
    several.write_text(f"{text}contexts: {{one: {{}}, long: {{epochs: 9}}}}\n")
    _, out, _ = cktf("diff", several, "--arm", "long: careful", cwd=tmp_path)
    assert cells(out) == {"optimizer.learning_rate": baseline["optimizer.learning_rate"]}
    assert "long: baseline" in out


def test_two_studies_differ_by_what_they_ask_and_not_by_what_they_write_out(study: Path, tmp_path: Path) -> None:
    text = study.read_text()
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("epochs: 2", "epochs: 2\n  batch_size: 32").replace("seeds: 2", "seeds: 3"))
    code, out, _ = cktf("diff", study, other, cwd=tmp_path)
    assert code == 0
    assert cells(out) == {"baseline.batch_size": ("64", "32"), "seeds": ("[0, 1]", "[0, 1, 2]")}
    other.write_text(text.replace("epochs: 2", "epochs: 2\n  batch_size: 64"))
    assert "no setting differs" in cktf("diff", study, other, cwd=tmp_path)[1], "64 is the default"
    other.write_text(text.replace("0.01}", "0.02}"))
    assert cells(cktf("diff", study, other, "--arm", "careful", cwd=tmp_path)[1]) == {
        "optimizer.learning_rate": ("0.01", "0.02")
    }


def test_a_run_is_compared_like_its_study(study: Path, tmp_path: Path) -> None:
    from cktf.study.load import load_study

    begin(load_study(study), str(tmp_path / "run"))
    assert "no setting differs" in cktf("diff", study, "run", cwd=tmp_path)[1]
    code, out, _ = cktf("diff", "run", study, "--arm", "baseline", "--arm", "careful", cwd=tmp_path)
    assert code == 0
    assert cells(out)["optimizer.learning_rate"][1] == "0.01"


def test_what_cannot_be_compared_is_told(study: Path, tmp_path: Path) -> None:
    assert "name two studies or runs, or --arm" in message_for("diff", study, cwd=tmp_path)
    told = message_for("diff", study, "--arm", "bold", cwd=tmp_path)
    assert "--arm 'bold': there is none; use one of: baseline, careful, diverging" in told
    assert "there is no run" in message_for("diff", study, "nowhere", cwd=tmp_path)
    several = STUDIES / "table2_cktf_on_top.yaml"
    told = message_for("diff", several, "--arm", "baseline", cwd=tmp_path)
    assert "several contexts have it; use one of: FitNet, CIFAR-100: baseline, AT, CIFAR-100: baseline, " in told


def test_a_run_is_watched_until_it_ends_with_a_line_for_each_change(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cktf.study.load import load_study

    monkeypatch.setattr(runs, "WATCH_SECONDS", 0.05)
    run = str(tmp_path / "run")
    begin(load_study(study), run)
    first = rows_of(run, PlannedRow)[0].trial_id
    ledger = Ledger(Storage(run))
    found: list[tuple[int, str, str]] = []
    watching = threading.Thread(target=lambda: found.append(cktf("status", "run", "--watch", cwd=tmp_path)))
    stands = threading.Event()

    def say(lines: list[str]) -> None:
        terminal.out.print(*lines)
        stands.set()

    monkeypatch.setattr(runs, "say", say)
    watching.start()
    try:
        assert stands.wait(60)
        ledger.append(EndRow(trial_id=first, status=Status.FAILED, reason="out of memory"))
        stands.clear()
        assert stands.wait(60)
    finally:
        ledger.close()
        watching.join(60)
    ((code, out, _),) = found
    lines = [line for line in out.splitlines() if line.startswith(("at work", "interrupted"))]
    assert code == 0
    assert lines == [
        "at work: 0 of 6 trials",
        "at work: 1 of 6 trials, 1 failed",
        "interrupted: 1 of 6 trials, 1 failed",
    ]
    assert out.count("out of memory") == 1, "the last table alone"
