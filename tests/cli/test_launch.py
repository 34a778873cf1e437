"""Studies launched from the command line: exit codes, what is printed, what lies there then."""

import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from cktf.rows import EndRow, PlannedRow, Status
from cktf.run.ledger import Ledger
from cktf.storage import Storage
from cktf.study.load import load_study
from tests.cli.commands import REPLACED, cktf, message_for
from tests.runs import begin, rows_of

STORED = Path(__file__).parents[1] / "analysis" / "stored_runs"


@pytest.mark.usefixtures("ray_on_this_machine")
def test_the_whole_way_from_a_study_to_a_report(study: Path, tmp_path: Path) -> None:
    code, out, err = cktf("launch", study, "--run-dir", "run", cwd=tmp_path)
    assert code == 1, "some trials failed"
    assert re.search(r"failed: the (validation )?loss is (nan|inf) (in|after) epoch 1", err)
    log = re.findall(r"; see (\S+)", err)[0]
    assert "diverging" in cktf("show", "run", Path(log).parent.name, cwd=tmp_path)[1]
    assert "TrainingFailed" in Path(log).read_text()
    failed = [row for row in rows_of(str(tmp_path / "run"), EndRow) if row.status == Status.FAILED]
    reasons = Counter(row.reason for row in failed)  # nan or inf, as processors round
    assert len(failed) == 2
    for reason, count in reasons.items():
        assert f"{count} failed: {reason}" in err
    assert "4 complete, 2 failed" in out
    assert "--retry-failed" in out
    assert "Traceback" not in out + err

    code, out, _ = cktf("status", "run", cwd=tmp_path)
    assert code == 0
    assert "Does a wrong learning rate hurt?" in out
    assert all(reason in out for reason in reasons)

    code, out, _ = cktf("report", "run", cwd=tmp_path)
    assert code == 0
    assert "careful" in out
    for name in ("trials.parquet", "epochs.parquet", "arms.parquet", "effects.parquet", "report.html"):
        assert name in out
        assert (tmp_path / "run" / "report" / name).exists()

    code, out, _ = cktf("plot", "run", cwd=tmp_path)
    assert code == 0
    assert "paired_slopes" in out
    code, out, _ = cktf("plot", "run", "--figure", "effects", "--out", "forest.pdf", cwd=tmp_path)
    assert (code, out) == (0, "forest.pdf\n")
    assert (tmp_path / "forest.pdf").read_bytes().startswith(b"%PDF")
    told = message_for("plot", "run", "--figure", "history", cwd=tmp_path)
    assert "it needs a search with a score" in told

    code, out, _ = cktf("launch", study, "--run-dir", "run", cwd=tmp_path)
    assert code == 1, "nothing is left to run, and the failures are still there"

    code, _, err = cktf("launch", study, "--run-dir", "run", "--set", "epochs=3", cwd=tmp_path)
    assert code == 2
    assert "--run-dir" in err


def test_what_failed_is_told_with_the_file_of_its_traceback(study: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(load_study(study), str(run))
    ids = [row.trial_id for row in rows_of(str(run), PlannedRow)]
    with Ledger(Storage(run)) as ledger:
        for trial_id in ids:
            reason = "out of memory" if trial_id in ids[1:3] else "a machine was lost"
            ledger.append(EndRow(trial_id=trial_id, status=Status.FAILED, reason=reason))
    for trial_id in ids[1:3]:
        folder = run / "trials" / trial_id
        folder.mkdir(parents=True)
        (folder / "error.txt").write_text("Traceback")
    code, _, err = cktf("launch", study, "--run-dir", "run", cwd=tmp_path)
    assert code == 1, "nothing is left to run"
    assert err.splitlines() == [
        "4 failed: a machine was lost",
        f"2 failed: out of memory; see {run}/trials/{ids[1]}/error.txt",
    ]


def test_launching_needs_linux_and_training_and_reporting_do_not(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(STORED / "digits_smoke", tmp_path / "done")
    begin(load_study(study), str(tmp_path / "begun"))
    monkeypatch.setattr(sys, "platform", "darwin")
    for command in (("launch", study, "--run-dir", "run"), ("resume", "begun"), ("extend", "begun", "--seeds", 1)):
        assert "on Linux alone; this system is darwin: here 'cktf train'" in message_for(*command, cwd=tmp_path)
    assert not (tmp_path / "run").exists()
    assert cktf("train", study, "--smoke", cwd=tmp_path)[0] == 0
    assert cktf("report", "done", cwd=tmp_path)[0] == 0


SMOKE = """\
# Which objective suits objects?
baseline:
  data: {name: cifar10, root: void, train_fraction: 0.5}
  teacher: {model: resnet8}
  student: {model: resnet5}
  objective: {cross_entropy: {weight: 1.0}}
compare:
  kd: {objective: {kd: {weight: 1.0}}}
  cktf: {objective: {cktf: {negatives: 4096}}}
  longer: {epochs: 300}
resources: {slots: 1}
"""


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_smoke_run_goes_the_whole_way_without_data_and_says_what_it_is(tmp_path: Path, session_cache: Path) -> None:
    kept = sorted(session_cache.rglob("*"))
    (tmp_path / "objects.yaml").write_text(SMOKE)
    assert "cifar10 is not there" in message_for("launch", "objects.yaml", cwd=tmp_path)
    code, out, err = cktf("validate", "objects.yaml", "--smoke", cwd=tmp_path)
    assert code == 0
    assert "3 arms x 2 seeds = 6 trials" in out
    assert "one arm, trained once, since a smoke run makes them one: baseline; longer" in out + err
    code, out, err = cktf("launch", "objects.yaml", "--smoke", cwd=tmp_path)
    assert code == 0, err
    assert "longer" in err
    assert "6 complete" in out
    code, out, _ = cktf("report", "runs/objects-smoke", cwd=tmp_path)
    assert code == 0
    assert "Smoke run: Effects on test accuracy" in out
    assert "its numbers mean nothing" in out
    assert "smoke run of objects" in cktf("status", "runs/objects-smoke", cwd=tmp_path)[1]
    told = message_for("launch", "objects.yaml", "--run-dir", "runs/objects-smoke", *REPLACED, cwd=tmp_path)
    assert "differs in" in told
    assert "smoke" in told
    code, out, _ = cktf("train", "objects.yaml", "--arm", "longer", "--smoke", cwd=tmp_path)
    assert "epoch   2/2" in out
    assert sorted(session_cache.rglob("*")) == kept


def test_a_cluster_that_does_not_answer_is_told(study: Path, tmp_path: Path) -> None:
    told = message_for("launch", study, "--run-dir", "run", "--address", "127.0.0.1:1", cwd=tmp_path)
    assert "127.0.0.1:1" in told


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_trial_that_no_machine_can_hold_is_told_and_does_not_hang(study: Path, tmp_path: Path) -> None:
    told = message_for("launch", study, "--run-dir", "run", "--set", "resources={cpus: 4096}", cwd=tmp_path)
    assert "4096 CPUs" in told
    assert "resources" in told
