"""Where results come from."""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cktf.run import directory
from cktf.run.directory import provenance


def test_it_names_code_versions_machine_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/environment/bin/cktf", "launch", "a study.yaml"])
    here = provenance()
    assert torch.__version__.startswith(here["versions"]["torch"])
    assert platform.node() in here["machine"]
    assert here["command"] == "cktf launch 'a study.yaml'"


def test_secrets_of_the_command_line_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = ["--set", "a.token=SECRET", "--set=b.api_key=SECRET", "--out", "s3://KEY:SECRET@bucket/x"]
    monkeypatch.setattr(sys, "argv", ["cktf", "launch", "s.yaml", *secret])
    command = provenance()["command"]
    assert "SECRET" not in command
    assert command == "cktf launch s.yaml --set 'a.token=***' '--set=b.api_key=***' --out 's3://***@bucket/x'"


def test_a_changed_checkout_is_told_from_a_clean_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: Any) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(directory, "__file__", str(tmp_path / "provenance.py"))
    assert provenance()["git_commit"] == ""
    git("init")
    Path(tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "of somebody else's project, in which the package is installed")
    assert provenance()["git_commit"] == ""
    Path(tmp_path / "provenance.py").touch()
    git("add", "provenance.py")
    git("commit", "-m", "first")
    clean = provenance()["git_commit"]
    assert len(clean) == 40
    Path(tmp_path / "file").write_text("two")
    assert provenance()["git_commit"] == f"{clean}+dirty"
