"""Studies in a bucket that fails for minutes, drops connections, is slow, or has two drivers, with processes killed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from cktf.rows import EpochRow
from cktf.storage import Storage
from tests.buckets import DROPPED, Fault, Proxy
from tests.drivers import assert_complete_once, kill_driver, wait_until
from tests.faults.test_faults import START_SECONDS, launched
from tests.kinds import FindProcesses, MakeSpec
from tests.runs import facts, rows_of

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(1800)]

EPOCHS = 30

FAULTS: dict[str, tuple[Fault, float]] = {
    "five minutes of 503": (lambda *_: 503, 300.0),
    "half a second of 403": (lambda *_: 403, 0.5),
    "half a minute of dropped connections": (lambda *_: DROPPED, 30.0),
    "a minute in which files alone cannot be written": (lambda method, _: 503 * (method == "PUT"), 60.0),
}
"""What a bucket answers, and for how long."""


@pytest.fixture
def spec(make_spec: MakeSpec) -> Any:
    data = {"name": "digits", "train_fraction": 0.5}
    return make_spec({"epochs": EPOCHS, "data": data}, seeds=1, checkpoint_seconds=0)


@pytest.fixture
def undisturbed(spec: Any, train_without_ray: Callable[..., Any], tmp_path: Path) -> Any:
    """The numbers of the same study in a folder, in which nothing fails."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a slot has
    train_without_ray(spec, Storage(tmp_path / "undisturbed"))
    torch.set_num_threads(threads)
    return facts(str(tmp_path / "undisturbed"))


def epochs_in(run: str) -> int:
    with suppress(OSError):  # the bucket fails just now
        return len(rows_of(run, EpochRow))
    return 0


@contextmanager
def driving(spec: Any, folder: Path, run: str) -> Iterator[Any]:
    """Launch the study into the bucket; yield the driver's process, once a trial is in training."""
    study = folder / "study.yaml"
    with launched(spec, folder, "launch", str(study), "--run-dir", run) as driver:
        wait_until(lambda: epochs_in(run) >= 3, "a trial was in training", driver, START_SECONDS)
        yield driver


@pytest.mark.parametrize("what", FAULTS)
def test_a_study_goes_on_when_its_bucket_does(
    what: str, spec: Any, undisturbed: Any, proxy: Proxy, tmp_path: Path
) -> None:
    fault, seconds = FAULTS[what]
    run = proxy.uri(f"failing-{seconds:g}")
    with driving(spec, tmp_path, run) as driver:
        with proxy.failing(fault):
            time.sleep(seconds)
        assert driver.wait(START_SECONDS) == 0, (tmp_path / "said.txt").read_text()
    assert facts(run) == undisturbed
    assert_complete_once(run, 2, EPOCHS)
    left = Storage(run).names(below=True)
    assert not [name for name in left if name.startswith("trials/") and not name.endswith("student.safetensors")]


def test_a_slow_bucket_slows_a_study_and_changes_nothing(
    spec: Any, undisturbed: Any, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.delay = 0.5
    run = proxy.uri("slow")
    with driving(spec, tmp_path, run) as driver:
        assert driver.wait(START_SECONDS) == 0, (tmp_path / "said.txt").read_text()
    assert facts(run) == undisturbed


def test_a_second_driver_is_kept_away_until_the_first_is_dead(
    spec: Any, undisturbed: Any, proxy: Proxy, tmp_path: Path, processes_below: FindProcesses
) -> None:
    run, second = proxy.uri("two"), tmp_path / "second"
    second.mkdir()
    with driving(spec, tmp_path, run) as driver:
        proxy.delay = 1.0  # so that the first driver is not done before the second has asked
        with launched(spec, second, "resume", run) as other:
            assert other.wait(START_SECONDS) == 2
        proxy.delay = 0.0
        assert driver.poll() is None
        assert "another" in (second / "said.txt").read_text()
        kill_driver(driver, processes_below, slots=[])
    with launched(spec, second, "resume", run) as other:
        assert other.wait(START_SECONDS) == 0, (second / "said.txt").read_text()
    assert facts(run) == undisturbed
    assert_complete_once(run, 2, EPOCHS)
