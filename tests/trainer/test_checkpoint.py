from pathlib import Path

import pytest
import torch

from cktf.rows import EpochResult
from cktf.storage import Storage
from cktf.trainer.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


def result(epoch: int) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        phase="train",
        learning_rate=0.05,
        train_loss=1.0,
        train_accuracy=50.0,
        validation_loss=1.0,
        validation_accuracy=50.0,
        epoch_seconds=1.0,
        samples_per_second=100.0,
        peak_memory_gib=0.5,
        terms={"kd": 0.5},
    )


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    place = Storage(tmp_path)
    save_checkpoint(place, Checkpoint(network.state_dict(), {}, optimizer.state_dict(), [result(1), result(2)]))
    loaded = load_checkpoint(place, CPU)
    assert loaded.history == [result(1), result(2)]
    assert torch.equal(loaded.student["weight"], network.weight)
    momentum = loaded.optimizer["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, optimizer.state_dict()["state"][0]["momentum_buffer"])


def test_a_trial_without_checkpoint_has_none(tmp_path: Path) -> None:
    assert load_checkpoint(Storage(tmp_path / "nothing"), CPU) is None


def test_a_writer_that_dies_leaves_the_last_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Storage(tmp_path)
    save_checkpoint(place, Checkpoint({}, {}, {}, [result(1)]))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", die)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(place, Checkpoint({}, {}, {}, [result(1), result(2)]))
    assert load_checkpoint(place, CPU).history == [result(1)]
