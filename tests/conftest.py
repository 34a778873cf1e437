"""Fixtures that every room's tests share: small studies of real trainings, a Ray for the tests that need one."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cktf.cluster.environment import prepare
from cktf.data import DATASETS
from cktf.data.augmentation.config import AUGMENTATIONS, AugmentationConfig
from cktf.epoch_result import EpochResult
from cktf.errors import ClusterNotFound
from cktf.measures.registry import MEASURES
from cktf.models import MODELS
from cktf.objectives import OBJECTIVES, ObjectivesConfig
from cktf.plan.planner import Planner
from cktf.plugins import ORIGINS
from cktf.rows import PlannedRow, Row, Stage, Status
from cktf.run.directory import write_what_was_asked
from cktf.run.ledger import Ledger
from cktf.run.preflight import require_runnable
from cktf.storage import Storage
from cktf.study.load import Study
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trainer.probe import ProbeConfig
from cktf.trial.run import run_trial
from cktf.trial.trained_teachers import train_teacher, trained_row
from tests.buckets import KEYS, Proxy, served
from tests.kinds import Cluster, FindProcesses, MakeResult, MakeSpec, RunToEnd
from tests.two_workers import TwoWorkers

if not torch.cuda.is_available():
    # Before anything imports Triton, whose own functions are made for its interpreter when they are imported, or never.
    assert "triton" not in sys.modules
    os.environ |= {"TRITON_INTERPRET": "1", "TRITON_DEFAULT_FP_FUSION": "1"}

BASELINE: dict[str, Any] = {
    "data": {"name": "digits", "train_fraction": 0.1},
    "student": {"model": "resnet5"},
    "objective": {"cross_entropy": {"weight": 1.0}},
    "epochs": 2,
    "batch_size": 32,
}
DESIGN: dict[str, Any] = {"ablate": {"optimizer.momentum": [0.0]}, "seeds": 2}
SEARCH: dict[str, Any] = {
    "search": {"optimizer.learning_rate": {"float": [0.001, 0.5], "log": True}},
    "trials": 6,
    "sampler": "random",
}
RESOURCES = {"cpus": 1, "gpus": 0, "slots": 1}
"""One trial at a time: each slot is a process, whose imports take longer than these trials."""

NODE_SECONDS = 120.0
"""How long a node of a cluster may take to start on a busy machine."""


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the cache of this session alone: its teachers are trained once, and none is an earlier session's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CKTF_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def make_spec() -> MakeSpec:
    """Return a maker of tiny studies: a design of two arms and two seeds, unless told otherwise."""

    def make(baseline: dict[str, Any] | None = None, **keys: Any) -> StudySpec:
        kinds = {"ablate", "compare", "leave_one_out", "grid", "fractional", "search"}
        asked = keys if kinds & keys.keys() else {**DESIGN, **keys}
        values = {"name": "tiny", "resources": RESOURCES, **asked, "baseline": {**BASELINE, **(baseline or {})}}
        return Study(**values)

    return make


@pytest.fixture(scope="session")
def make_search(make_spec: MakeSpec) -> MakeSpec:
    """Return a maker of tiny searches."""
    return lambda **keys: make_spec(**{**SEARCH, **keys})


@pytest.fixture(scope="session")
def make_result() -> MakeResult:
    """Return a maker of epoch results."""

    def make(epoch: int, accuracy: float, **keys: Any) -> EpochResult:
        values: dict[str, Any] = {
            "phase": "train",
            "learning_rate": 0.1,
            "train_loss": 1.0,
            "train_accuracy": 50.0,
            "validation_loss": 1.0,
            "epoch_seconds": 2.0,
            "samples_per_second": 100.0,
            "peak_memory_gib": 0.1,
            "terms": {"cross_entropy": 1.0},
        }
        return EpochResult(epoch=epoch, validation_accuracy=accuracy, **{**values, **keys})

    return make


@pytest.fixture(scope="session")
def run_to_end(make_result: MakeResult) -> RunToEnd:
    """Return what stands in for trainings, two at a time, in tests of the planner alone."""

    def run(planner: Planner, score: Callable[[PlannedRow, int], Any], at_once: int = 2, most: int = 10_000) -> Any:
        order: list[str] = []
        running: list[PlannedRow] = []
        while len(order) < most:
            while len(running) < at_once and isinstance(row := planner.next_trial(), PlannedRow):
                running.append(row)
            if not running:
                break
            row = running.pop(0)
            if row.stage != Stage.TEACHER:
                order.append(row.trial_id)
            for epoch in range(1, row.config["epochs"] + 1):
                accuracy, loss = found if isinstance(found := score(row, epoch), tuple) else (found, 1.0)
                if planner.on_epoch(row.trial_id, make_result(epoch, accuracy, validation_loss=loss)):
                    break
            else:
                planner.on_end(row.trial_id, Status.COMPLETE, device="cpu", node="here")
        return order

    return run


@pytest.fixture(scope="session")
def train_without_ray() -> Callable[[StudySpec, Storage], list[tuple[PlannedRow, float | None]]]:
    """Return what trains a study for real, one trial after the other, into a run; it gives their test accuracies."""

    def run_study(spec: StudySpec, run: Storage) -> list[tuple[PlannedRow, float | None]]:
        require_runnable(spec)
        tested = []
        with Ledger(run) as ledger:
            write_what_was_asked(spec, run, ledger)
            planner = Planner(spec, ledger.append, find_teacher=partial(trained_row, run))
            while isinstance(row := planner.next_trial(), PlannedRow):
                config = TrialConfig.model_validate(row.config)
                options = spec.train_options(read_test=True)
                device = torch.device("cpu")
                epochs = run_trial(config, options, run=run, device=device)
                is_teacher = row.stage == Stage.TEACHER
                for result in train_teacher(config, device, run) if is_teacher else epochs:
                    planner.on_epoch(row.trial_id, result)
                planner.on_end(row.trial_id, Status.COMPLETE)
                if not is_teacher:
                    tested.append((row, result.test_accuracy))
        return tested

    return run_study


@pytest.fixture
def rows() -> list[Row]:
    """Return a ledger in memory."""
    return []


@pytest.fixture(scope="session")
def ray_on_this_machine() -> Iterator[None]:
    """Start one Ray for all tests of this session that run in this process."""
    prepare(is_local=True)
    from cktf.cluster.machine import Machine
    from cktf.cluster.nodes import connected

    os.environ.update(KEYS)  # its workers have the surroundings that it was started in
    with ExitStack() as stack:
        for is_last in (False, False, True):  # Ray waits 30 seconds for itself, which a busy machine may exceed
            try:
                stack.enter_context(connected(Machine()))
                break
            except ClusterNotFound:
                if is_last:
                    raise
        yield


@pytest.fixture(scope="session")
def processes_below() -> FindProcesses:
    """Return a finder of the processes that a process has started, directly or not."""

    def find(ancestor: int, title: bytes = b"") -> list[int]:
        parents, titles = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(folder.name)] = (folder / "cmdline").read_bytes()

        def is_below(process: int) -> bool:
            while process > 1:
                process = parents.get(process, 0)
                if process == ancestor:
                    return True
            return False

        return [key for key in titles if titles[key].startswith(title) and is_below(key)]

    return find


@pytest.fixture
def ray_cluster() -> Iterator[Cluster]:
    """Yield the address of a head that runs no trials, a starter of worker nodes, and what a driver's environment is.

    They are processes of this machine that only a token lets in.
    """
    folder = Path(tempfile.mkdtemp(prefix="cktf-", dir="/tmp"))  # a socket's path must be short
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a" * 64,
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "5000",
        "RAY_health_check_failure_threshold": "2",
        "OMP_NUM_THREADS": "1",
    }
    ray = Path(sys.executable).parent / "ray"

    def start(*arguments: str) -> int:
        before = set(raylets(folder))
        command = [str(ray), "start", "--node-ip-address=127.0.0.1", *arguments, "--disable-usage-stats"]
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=NODE_SECONDS)
        (raylet,) = set(raylets(folder)) - before
        return raylet

    def start_worker() -> int:
        return start(f"--address=127.0.0.1:{port}", "--num-cpus=1")

    try:
        start("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}")
        yield f"127.0.0.1:{port}", start_worker, env
    finally:
        for process in processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> list[int]:
    """Return the processes that were started with this folder: those of the test's own cluster."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def raylets(folder: Path) -> Iterator[int]:
    """Yield the nodes of this cluster."""
    for process in processes_of(folder):
        with suppress(OSError):
            if Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0].endswith(b"/raylet"):
                yield process


@pytest.fixture(scope="session")
def run_in_two_workers(session_cache: Path) -> Iterator[TwoWorkers]:  # noqa: ARG001  # it is set when they start
    """Two processes for all tests of this session that need data-parallel workers."""
    workers = TwoWorkers()
    yield workers
    workers.end()


@pytest.fixture
def run_dir(tmp_path: Path) -> str:
    return str(tmp_path / "run")


@pytest.fixture
def console() -> Console:
    """A console that is no terminal; what it was told is in its file."""
    return Console(file=io.StringIO(), width=200)


NEEDS_RAY = {"ray_on_this_machine", "ray_cluster"}
"""Fixtures that start Ray."""

SLOW = (
    # Whole reports.
    "tests/analysis/exports/",
    "tests/analysis/figures/",
    "tests/analysis/foreign/",
    "tests/analysis/report/",
    "tests/analysis/searches/",
    "tests/analysis/test_",
    # Whole trainings, of networks as large as users' ones.
    "tests/cluster/test_slot.py",
    "tests/models/test_families.py",
    "tests/models/test_golden.py",
    "tests/models/test_models.py",
    "tests/objectives/test_data_parallel.py",
    "tests/test_benchmarks.py",
    "tests/test_shipped_studies.py",
    "tests/trainer/test_distributed.py",
    "tests/trainer/test_health.py",
    "tests/trainer/test_phases.py",
    "tests/trainer/test_trajectories.py",
    "tests/trainer/test_transfer.py",
    "tests/trial/test_teacher_once.py",
    # Processes, servers, large files and many inputs.
    "tests/cli/test_app.py",
    "tests/cluster/test_deaths.py",
    "tests/data/sets/test_tiny_imagenet.py",
    "tests/docs/test_blocks.py",
    "tests/fuzz/test_kinds.py",
    "tests/run/test_lease.py",
    "tests/test_storage_in_buckets.py",
)
"""Tests that take two thirds of the time of all: those of ``make test-slow``, which CI runs too."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test that starts Ray, and one that is slow."""
    if NEEDS_RAY & {*getattr(item, "fixturenames", ())}:
        item.add_marker(pytest.mark.ray)
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        item.add_marker(pytest.mark.skip(reason="needs CUDA"))
    if item.nodeid.startswith(SLOW):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first, so that two processes end at about the same time."""
    items.sort(key=lambda item: (item.get_closest_marker("ray") is None, item.get_closest_marker("slow") is None))


@pytest.fixture(scope="session")
def golden_directory() -> Path:
    """Return the folder of golden cases: the environment variable CKTF_GOLDEN, or ``tests/golden``."""
    return Path(os.environ.get("CKTF_GOLDEN") or Path(__file__).parent / "golden")


@pytest.fixture
def plain_registries() -> Iterator[None]:
    """Take back what plug-ins were registered meanwhile."""
    tables: list[dict[Any, Any]] = [OBJECTIVES, MODELS, DATASETS, AUGMENTATIONS, MEASURES, ORIGINS]
    tables += [ObjectivesConfig.__pydantic_fields__, AugmentationConfig.__pydantic_fields__]
    before = [dict(table) for table in tables]
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
    for model in (ObjectivesConfig, AugmentationConfig, ProbeConfig, TrialConfig):
        model.model_rebuild(force=True)


@pytest.fixture(scope="session")
def s3() -> Iterator[Proxy]:
    """A bucket of a real S3 server, for all tests of this session that run in this process."""
    with served() as proxy:
        yield proxy


@pytest.fixture
def proxy(s3: Proxy) -> Proxy:
    """The way to that bucket, without faults so far."""
    s3.reset()
    return s3
