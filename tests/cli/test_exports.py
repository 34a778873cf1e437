"""Exports from the command line: what goes together, what is missing, where files go by default."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from socket import socket
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


def test_tools_for_a_run_in_a_bucket_want_a_place(tmp_path: Path) -> None:
    place = "s3://bucket/run?region=us-east-1"
    for command in (("dashboard", place), ("export", place, "--to", "optuna")):
        told = message_for(*command, cwd=tmp_path)
        assert told.strip() == f"{place}: is not on this machine; 'cktf export' with --to optuna takes a place by --out"


def test_the_dashboard_shows_a_copy_on_this_machine_alone_until_ctrl_c(run: Path, tmp_path: Path) -> None:
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    shown = subprocess.Popen(
        [sys.executable, "-m", "cktf.cli", "dashboard", run, "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=partial(
            signal.signal, signal.SIGINT, signal.default_int_handler
        ),  # a script's background ignores it
    )
    try:
        studies = _studies(port, time.monotonic() + 120)
        assert [study["study_name"] for study in studies] == ["tiny"]
        told = message_for("dashboard", run, "--port", str(port), cwd=tmp_path)
        assert told.startswith(f"--port: {port} cannot be listened on: Address already in use")
        shown.send_signal(signal.SIGINT)
        said, _ = shown.communicate(timeout=60)
    finally:
        shown.kill()
        shown.communicate()
    assert shown.returncode == 0
    assert said == f"http://127.0.0.1:{port}/  # for this machine alone; Ctrl-C ends it\n"
    code, out, _ = cktf("export", run, "--to", "optuna", "--follow", cwd=tmp_path)
    assert (code, out) == (0, f"{run / 'exports' / 'optuna.db'}: 0 trials added or brought up to date\n")


def _studies(port: int, deadline: float) -> Any:
    """Return the studies that a dashboard lists, once it answers."""
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
                return json.load(answer)["study_summaries"]
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_without_the_dashboard_it_is_said_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert "pip install 'cktf[trackers]'" in message_for("dashboard", run, cwd=tmp_path)


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
