"""A Ray of this machine's own: how many CPUs, where it lies, and that it cannot be seen into."""

import math
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

from cktf.cluster import local
from cktf.cluster.local import LONGEST_SOCKET, _private_folder
from cktf.cluster.machine import Machine, _quota, cores
from cktf.errors import ClusterNotFound, InputError
from cktf.rows import EpochRow
from cktf.run.ledger import read_ledger
from cktf.storage import Storage
from cktf.study.load import dump_study
from tests.kinds import MakeSpec
from tests.runs import rows_of


@pytest.fixture
def short() -> Iterator[str]:
    """A folder with a short name, as sockets need."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        yield folder


def test_cpus_are_those_that_the_process_may_run_on() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= cores() <= len(before)


def test_less_than_there_is_may_be_taken_but_not_more_nor_of_a_cluster() -> None:
    there = cores()
    assert Machine(cpus=there, gpus=0) == Machine(None, there, 0)
    for wrong in (0, there + 1, True):
        with pytest.raises(InputError, match=f"^--cpus: must be a whole number between 1 and {there}, .* got "):
            Machine(cpus=wrong)
    with pytest.raises(InputError, match=r"^--gpus: must be a whole number between 0 and \d+, .*; got 10000$"):
        Machine(gpus=10_000)
    with pytest.raises(InputError, match=r"^--cpus: .*without --address$"):
        Machine("auto", cpus=1)


def test_ray_is_started_with_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any]] = []
    monkeypatch.setattr("ray.init", lambda *_, num_cpus, num_gpus, **__: asked.append((num_cpus, num_gpus)))
    monkeypatch.setattr("ray.shutdown", lambda: None)
    for machine in (Machine(cpus=1, gpus=0), Machine()):
        with local.started(machine):
            pass
    assert asked == [(1, 0), (cores(), None)]


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, math.inf),
        ({"cpu.max": "max 100000"}, math.inf),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"a/cpu.max": "400000 100000", "a/job/cpu.max": "max 100000"}, 4.0),
        ({"a/cpu.max": "400000 100000", "a/job/cpu.max": "100000 100000", "other/cpu.max": "1 100000"}, 1.0),
        ({"cpu,cpuacct/slurm/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/slurm/cpu.cfs_period_us": "100000\n"}, 2.5),
        ({"cpu,cpuacct/slurm/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/slurm/cpu.cfs_period_us": "100000\n"}, math.inf),
    ],
)
def test_a_quota_is_the_least_of_the_process_s_control_groups(tmp_path: Path, files: dict[str, Any], cpus: Any) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text("3:memory:/slurm\n2:cpu,cpuacct:/slurm/step\n0::/a/job\n")
    assert _quota(tmp_path, tmp_path / "own") == cpus
    assert _quota(tmp_path, tmp_path / "absent") == math.inf


def test_its_folder_is_closed_to_others_and_removed(short: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", short)
    with _private_folder() as folder:
        assert Path(folder).parent == Path(short)
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    assert not Path(folder).exists()


def test_a_temporary_folder_that_is_too_long_for_sockets_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 93)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with _private_folder() as folder:
        assert not folder.startswith(str(long))
        assert len(folder + "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store") <= LONGEST_SOCKET


def test_a_temporary_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    with (
        pytest.raises(ClusterNotFound, match=r"could not be started on this machine: /nowhere: No such file"),
        _private_folder(),
    ):
        pass


def test_a_ray_that_does_not_start_is_told_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def time_out(*_: object, **__: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because")  # noqa: TRY002

    monkeypatch.setattr(ray, "init", time_out)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(ClusterNotFound, match=r"Ray could not be started on this machine, in .*: The current node"),
        local.started(),
    ):
        pass


@pytest.mark.ray
def test_a_launch_writes_no_secret_and_ends_at_a_signal_like_ctrl_c(
    make_spec: MakeSpec, tmp_path: Path, short: str
) -> None:
    number = signal.SIGUSR1  # which Tune would take; tests/test_driver.py has others
    secrets = {f"AWS_{name}": f"SECRET-{name}" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")}
    study, run = tmp_path / "study.yaml", tmp_path / "run"
    study.write_text(dump_study(make_spec({"epochs": 400})))
    driver = subprocess.Popen(
        [sys.executable, "-m", "cktf.cli", "launch", str(study), "--run-dir", str(run)],
        env={**os.environ, **secrets, "RAY_TMPDIR": short},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),  # nohup, which may have started this, ignores one
    )
    try:
        deadline = time.monotonic() + 200
        while not (run.exists() and len(rows_of(str(run), EpochRow)) >= 2) and time.monotonic() < deadline:
            assert driver.poll() is None, driver.communicate()[0]
            time.sleep(0.2)
        (session,) = Path(short).glob("cktf-*")
        assert stat.S_IMODE(session.stat().st_mode) == 0o700
        written = [path for path in session.rglob("*") if path.is_file()]
        assert any(path.name.startswith("runtime_env_agent") for path in written)
        assert not [path for path in written if b"SECRET-" in path.read_bytes()]
        driver.send_signal(number)
        said, _ = driver.communicate(timeout=100)
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == 130, said
    assert "interrupted after" in said
    assert "Traceback" not in said
    assert list(read_ledger(Storage(run)))
