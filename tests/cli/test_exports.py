"""Exports from the command line: what goes together, what is missing, where files go by default."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cktf.storage import Storage
from tests.cli.commands import cktf, message_for
from tests.kinds import MakeSpec


@pytest.fixture(scope="module")
def run(make_spec: MakeSpec, train_without_ray: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported") / "run"
    train_without_ray(make_spec(seeds=1, keep="all"), Storage(place))
    return place


def test_a_student_is_written_and_how_it_is_used_is_said(run: Path, tmp_path: Path) -> None:
    code, out, err = cktf("export", run, "--to", "torch", "--arm", "baseline", "--seed", 0, cwd=tmp_path)
    assert code == 0, err
    (path,) = tmp_path.glob("*.pt")
    assert out.startswith(f"{path.name} is written; its logits are the student's")
    assert "network = MODELS['resnet5'](10, 1)" in out


def test_the_dashboard_opens_on_a_copy_on_this_machine_alone(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "pip install 'cktf[trackers]'" in message_for("dashboard", run, cwd=tmp_path)
    called: list[list[str]] = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(command))
    assert cktf("dashboard", run, "--port", 8123, cwd=tmp_path)[0] == 0
    place = run / "exports" / "optuna.db"
    assert place.is_file()
    assert called == [["/bin/optuna-dashboard", f"sqlite:///{place}", "--host", "127.0.0.1", "--port", "8123"]]
    code, out, _ = cktf("export", run, "--to", "optuna", "--follow", cwd=tmp_path)
    assert (code, out) == (0, f"{place}: 0 trials added or brought up to date\n")


def test_what_does_not_go_together_is_refused(run: Path, tmp_path: Path) -> None:
    told = message_for("export", run, "--to", "onnx", "--follow", cwd=tmp_path)
    assert "--follow: is of a tool" in told
    assert "take all trials" in message_for("export", run, "--to", "wandb", "--seed", 1, cwd=tmp_path).replace(
        "takes", "take"
    )
    assert "give the beginning of a trial's id" in message_for("export", run, "--to", "torch", cwd=tmp_path)


def test_a_trial_is_deleted_only_when_that_is_confirmed(run: Path, tmp_path: Path) -> None:
    code, _, _ = cktf("delete", run, "--arm", "baseline", "--seed", 0, cwd=tmp_path)
    assert code != 0, "nobody answered"
    count = len([*run.glob("trials/*")])
    code, out, _ = cktf("delete", run, "--arm", "baseline", "--seed", 0, "--yes", cwd=tmp_path)
    assert code == 0
    assert "withdrawn; 'cktf resume --retry-failed'" in out
    assert len([*run.glob("trials/*")]) == count - 1
