"""A whole study in a bucket that fails for a while: its results are those of one in a folder."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cktf.driver import launch
from cktf.storage import Storage
from tests.buckets import Proxy
from tests.kinds import MakeSpec
from tests.runs import facts, printed_on


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_bucket_that_refuses_for_a_while_changes_nothing(
    make_spec: MakeSpec, train_without_ray: Callable[..., Any], proxy: Proxy, tmp_path: Path, console: Console
) -> None:
    spec = make_spec({"epochs": 6}, seeds=1, storage_patience=300, checkpoint_seconds=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a slot has
    train_without_ray(spec, Storage(tmp_path / "run"))
    torch.set_num_threads(threads)
    run = proxy.uri("study")
    faults = []

    def refuse() -> None:
        while not any("/trials/" in path and method == "PUT" for method, path in proxy.requests):
            time.sleep(0.05)
        with proxy.failing(lambda *_: 403):
            time.sleep(2)
        faults.append(403)

    thread = threading.Thread(target=refuse)
    thread.start()
    summary = launch(spec, run, console=console)
    thread.join()
    assert faults
    assert (summary.complete, summary.failed) == (2, 0)
    assert facts(run) == facts(str(tmp_path / "run"))
    left = [name.rpartition("/")[2] for name in Storage(run).names(below=True) if name.startswith("trials/")]
    assert left == ["student.safetensors"]
    assert not Storage(run).child("drivers").names()
    assert "answers again after" in printed_on(console)
