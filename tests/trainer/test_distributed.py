from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.models import MODELS
from cktf.storage import Storage
from cktf.trainer.checkpoint import Checkpoint, CheckpointWriter, load_checkpoint, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial
from tests.two_workers import TwoWorkers

CPU = torch.device("cpu")
SOURCES = ("all", "queue")


class Plain(nn.Module):
    """A network without batch-norm, the one thing that sees a worker's shard instead of the batch."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem: nn.Module = nn.Conv2d(in_channels, 4, kernel_size=3, padding=1)
        self.stage: nn.Module = nn.Conv2d(4, 6, kernel_size=3, padding=1, stride=2)
        self.fc = nn.Linear(6, num_classes)

    def forward(self, images: Tensor) -> Activations:
        stem = self.stem(images).relu()
        stage = self.stage(stem).relu()
        vector = stage.mean((2, 3))
        return Activations(self.fc(vector), vector, stem, ((stage,),), preactivations=())


class Normalised(Plain):
    """The same with batch-norms; they see the whole batch where a trial asks for it."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.stem = nn.Sequential(self.stem, nn.BatchNorm2d(4))
        self.stage = nn.Sequential(self.stage, nn.BatchNorm2d(6, affine=False))


def _trained(folder: str | Path, source: str) -> tuple[Any, ...]:
    """Train a trial; return its results and, where it is written, its checkpoint."""
    torch.set_num_threads(1)
    has_norms = source == "all"
    name = "two_normalised_convolutions" if has_norms else "two_convolutions"
    MODELS[name] = Normalised if has_norms else Plain
    try:
        config = TrialConfig.model_validate(
            {
                "sync_batch_norm": has_norms,
                "data": {"name": "digits", "train_fraction": 0.1},
                "teacher": {"model": name, "epochs": 1},
                "student": {"model": name},
                "objective": {
                    "cross_entropy": {},
                    "kd": {},
                    "sp": {},
                    "cktf": {"negatives": 32, "source": source, "dim": 8},
                },
                "optimizer": {"clip_norm": 5.0, "accumulate": 2},
                "ema": 0.9,
                "teacher_view": "own",
                "epochs": 2,
                "batch_size": 25,  # shards of 12 and of 13
            }
        )
        run = Storage(folder)
        results = list(run_trial(config, TrainOptions(read_test=True), run=run, device=CPU))
        return results, load_checkpoint(trial_storage(run, config.trial_id))
    finally:
        del MODELS[name]


def _rank(rank: int, folder: str | Path) -> None:
    torch.set_num_threads(1)
    torch.save(_summed_gradients(rank), f"{folder}/gradients{rank}.pt")
    torch.save([_normalised(whole, SHARDS[rank], Workers.current()) for whole in _wholes()], f"{folder}/norm{rank}.pt")
    results = {source: _trained(f"{folder}/{source}", source)[0] for source in SOURCES}
    torch.save({source: [vars(result) for result in results[source]] for source in SOURCES}, f"{folder}/{rank}.pt")


@pytest.fixture(scope="module")
def two_workers(run_in_two_workers: TwoWorkers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers have written."""
    folder = tmp_path_factory.mktemp("workers")
    run_in_two_workers(_rank, folder)
    return folder


def _measured(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of the results but times and memory."""
    left_out = ("epoch_seconds", "samples_per_second", "checkpoint_seconds", "peak_memory_gib")
    return [{name: value for name, value in values.items() if name not in left_out} for values in results]


def test_a_trial_of_two_workers_is_that_of_one(two_workers: Path, tmp_path: Path) -> None:
    expected = {source: _trained(tmp_path / source, source) for source in SOURCES}
    ranks = [torch.load(two_workers / f"{rank}.pt") for rank in range(2)]
    for source, (results, checkpoint) in expected.items():
        alone = _measured(map(vars, results))
        assert [epoch["epoch"] for epoch in alone] == [1, 2]
        for rank in ranks:
            for actual, value in zip(_measured(rank[source]), alone, strict=True):
                for name in ("phase", "precision", "step", "test_correct"):
                    assert actual.pop(name) == value[name]
                torch.testing.assert_close(actual, {name: value[name] for name in actual}, rtol=1e-4, atol=1e-5)
        (folder,) = (two_workers / source / "trials").iterdir()
        spread = load_checkpoint(Storage(folder))
        assert checkpoint.objective, "banks and heads"
        for part in ("student", "objective", "average"):
            torch.testing.assert_close(getattr(spread, part), getattr(checkpoint, part), rtol=1e-4, atol=1e-5)


def _summed_gradients(rank: int) -> list[Any]:
    workers = Workers.current()
    assert workers == Workers(rank=rank, size=2)
    network = _network()
    inputs, targets = _batch()
    # Shards of different size: three samples and two.
    shard = slice(0, 3) if rank == 0 else slice(3, 5)
    loss = nn.functional.mse_loss(network(inputs[shard]), targets[shard])
    torch.autograd.backward(loss * len(inputs[shard]) / len(inputs))
    workers.sum_gradients(network.parameters())

    statistics = nn.BatchNorm1d(2)
    assert statistics.running_mean is not None
    statistics.running_mean.fill_(float(rank))
    workers.average_buffers(statistics)
    assert statistics.running_mean.tolist() == [0.5, 0.5]
    frozen = nn.BatchNorm1d(2).eval()
    assert frozen.running_mean is not None
    frozen.running_mean.fill_(float(rank))
    workers.average_buffers(frozen)
    assert frozen.running_mean.tolist() == [rank, rank]
    assert workers.sum(torch.tensor([1.0, rank])).tolist() == [2.0, 1.0]
    return [parameter.grad for parameter in network.parameters()]


def _network() -> Any:
    network = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    return network


def _batch() -> tuple[Any, ...]:
    return torch.arange(15.0).reshape(5, 3) / 10, torch.arange(10.0).reshape(5, 2)


def test_the_gradients_of_two_workers_add_up_to_those_of_one(two_workers: Path) -> None:
    network = _network()
    inputs, targets = _batch()
    torch.autograd.backward(nn.functional.mse_loss(network(inputs), targets))
    for rank in range(2):
        gradients = torch.load(two_workers / f"gradients{rank}.pt")
        for gradient, parameter in zip(gradients, network.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_alone_nothing_is_exchanged() -> None:
    workers = Workers.current()
    assert workers == Workers(rank=0, size=1)
    values = torch.tensor([1.0, 2.0])
    assert workers.sum(values) is values


SHARDS = (slice(0, 2), slice(2, 7))


def _wholes() -> list[Tensor]:
    """Batches of seven samples, as vectors and as maps in both precisions, far from a mean of 0."""
    maps = torch.randn(7, 3, 2, 4, generator=torch.Generator().manual_seed(0)) * 0.5 + 30
    return [maps.mean((2, 3)), maps, maps.bfloat16()]


def _normalised(whole: Tensor, shard: slice, workers: Workers) -> list[Tensor]:
    """Return outputs, gradients and running statistics of a batch-norm in training mode and of one in eval mode."""
    norm = nn.BatchNorm1d(3) if whole.dim() == 2 else nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    inputs = whole[shard].clone().requires_grad_()
    with workers.shared_batch_norm(is_asked=True):
        outputs = norm(inputs)
        fixed = norm.eval()(inputs)
    weights = torch.linspace(-1, 2, whole.numel()).reshape_as(whole)[shard]
    ((outputs.float().square() + fixed.float()) * weights).sum().backward()
    workers.sum_gradients(norm.parameters())
    found = [norm.weight.grad, norm.bias.grad, *norm.buffers(), outputs.detach(), fixed.detach(), inputs.grad]
    return [value for value in found if value is not None]


def test_batch_norms_of_two_workers_see_the_whole_batch(two_workers: Path) -> None:
    for rank, shard in enumerate(SHARDS):
        for found, whole in zip(torch.load(two_workers / f"norm{rank}.pt"), _wholes(), strict=True):
            expected = _normalised(whole, slice(None), Workers())
            expected[-3:] = [value[shard] for value in expected[-3:]]
            tolerance = 0.05 if whole.dtype == torch.bfloat16 else 2e-4
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def _resumed(rank: int, folder: Path) -> None:
    """Let the first worker alone see a checkpoint, then none."""
    written, empty = Storage(folder / "written"), Storage(folder / f"empty{rank}")
    if rank == 0:
        writer = CheckpointWriter(written, seconds=0)
        writer.write(Checkpoint({"w": torch.arange(3.0)}, {}, {}, []))
        writer.wait()
    found = load_checkpoint(written if rank == 0 else empty, Workers.current(), CPU)
    assert found is not None
    assert found.student["w"].tolist() == [0, 1, 2]
    assert load_checkpoint(empty if rank == 0 else written, Workers.current(), CPU) is None


def test_all_workers_go_on_from_the_checkpoint_that_the_first_one_sees(
    run_in_two_workers: TwoWorkers, tmp_path: Path
) -> None:
    run_in_two_workers(_resumed, tmp_path)
