"""The benchmark of a GPU, on a CPU with tiny shapes: what it calls is there and gives figures."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from types import ModuleType
from unittest.mock import Mock

import pytest
import torch
from torch import nn

CPU = torch.device("cpu")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module, found beside the ones that it reads; it may draw from PyTorch's own stream."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    with torch.random.fork_rng():
        import gpu

        yield gpu
    for name in ("gpu", "contrast", "gather", "step", "input"):
        sys.modules.pop(name, None)


LAUNCHES = {
    "CKTF, sampled": 600,
    "CRD": 450,
    "KD": 350,
    "AT + KD": 460,
    "CKTF, pairing largest": 900,
    "CKTF, infonce, shared": 600,
}
"""Most operators of a step by configuration of `launches.py`."""


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_step_launches_few_operators(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import launches

    assert {*LAUNCHES} == {*launches.CONFIGURATIONS}
    counts = launches.launches(launches.CONFIGURATIONS[name], samples=300, side=8, batch_size=8)
    assert 100 < sum(counts.values()) <= LAUNCHES[name], counts


def test_it_needs_no_more_than_pytorch_numpy_and_pydantic() -> None:
    code = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torchvision", "ray", "pyarrow", "pandas", "scipy", "sklearn", "safetensors",
                                      "optuna", "yaml", "typer", "rich", "altair", "PIL"}:
            raise ModuleNotFoundError(f"refused: {name}", name=name)

sys.meta_path.insert(0, Refuse())
sys.path[:0] = ["benchmarks", "."]
import gpu
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=BENCHMARKS.parent)


def test_without_a_gpu_nothing_is_measured(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main()
    assert capsys.readouterr().out == "no CUDA device: nothing is measured\n"


def test_one_side_its_sources_and_its_tiles(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    side = gpu.OneSide(gpu.TINY, CPU)
    partition = gpu.one_side(side)  # which compares contrast and gather with one another
    assert partition > 0
    gpu.sources(side, partition)
    gpu.tile_sizes(side, partition)
    printed = capsys.readouterr().out
    assert printed.count("with its share of the draw") == 8
    assert printed.count(" ms\n") >= len(gpu.TILES)


def test_whole_trainings_run(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.trainings(gpu.TINY, CPU, epochs=1)
    assert capsys.readouterr().out.count("it ran as eager, float32") == 4


def test_whole_steps_train(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.whole_steps(gpu.WAYS[:3], gpu.TINY, CPU, steps=1)
    assert capsys.readouterr().out.count("gather / this") == 3
    assert gpu.train_for(0.05, gpu.TINY, "cpu", Barrier(1)) > 0


def test_a_network_that_cannot_be_compiled_loses_nothing_else(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = RuntimeError("no compiler\nof any kind")
    monkeypatch.setattr(nn.Module, "compile", Mock(side_effect=[failure, None, None]))
    gpu.compiled_steps(gpu.COMPILED, gpu.TINY, CPU, steps=1)
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert "compiled (default)" in first
    assert first.endswith("cannot be compiled here: RuntimeError: no compiler")
    assert "compiled (reduce-overhead)" in second
    assert "uncompiled / this" in second
