import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save

from cktf.epoch_result import EpochResult
from cktf.errors import InputError, StorageTrouble
from cktf.storage import Storage
from cktf.trainer.checkpoint import (
    CHECKPOINT,
    STUDENT,
    Checkpoint,
    CheckpointWriter,
    load_checkpoint,
    load_weights,
    save_student,
    stored_weights,
)


def written(place: Storage, checkpoint: Checkpoint) -> None:
    """Replace the last checkpoint."""
    writer = CheckpointWriter(place, 0)
    writer.write(checkpoint)
    writer.wait()


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
    written(place, Checkpoint(network.state_dict(), {}, optimizer.state_dict(), [result(1), result(2)]))
    loaded = load_checkpoint(place)
    assert loaded is not None
    assert loaded.history == [result(1), result(2)]
    assert torch.equal(loaded.student["weight"], network.weight)
    momentum = loaded.optimizer["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, optimizer.state_dict()["state"][0]["momentum_buffer"])


def test_a_trial_without_checkpoint_has_none(tmp_path: Path) -> None:
    assert load_checkpoint(Storage(tmp_path / "nothing")) is None


def test_a_writer_that_dies_leaves_the_last_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Storage(tmp_path)
    written(place, Checkpoint({}, {}, {}, [result(1)]))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", die)
    with pytest.raises(KeyboardInterrupt):
        written(place, Checkpoint({}, {}, {}, [result(1), result(2)]))
    last = load_checkpoint(place)
    assert last is not None
    assert last.history == [result(1)]


def test_a_writer_copies_the_state_first_waits_for_the_one_before_and_raises_its_error_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, at_once = threading.Event(), []
    write = Storage.write

    def slowly(place: Storage, name: str, content: bytes) -> None:
        at_once.append(threading.current_thread())
        assert may_write.wait(30)
        write(place, name, content)

    monkeypatch.setattr(Storage, "write", slowly)
    place, state = Storage(tmp_path), {"w": torch.zeros(3)}
    writer = CheckpointWriter(place, seconds=0)
    writer.write(Checkpoint(state, {}, {}, [result(1)]))
    state["w"] += 1
    may_write.set()
    writer.wait()
    loaded = load_checkpoint(place)
    assert loaded is not None
    assert loaded.student["w"].tolist() == [0, 0, 0]
    assert at_once[0] is not threading.current_thread()

    monkeypatch.setattr(Storage, "write", Mock(side_effect=StorageTrouble("the disk is full")))
    writer.write(Checkpoint(state, {}, {}, [result(2)]))
    with pytest.raises(StorageTrouble, match="the disk is full"):
        writer.write(Checkpoint(state, {}, {}, [result(3)]))


def test_checkpoints_are_due_by_the_clock_and_at_ends_of_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Mock(return_value=100.0)
    monkeypatch.setattr("cktf.trainer.checkpoint.time.monotonic", now)
    writer = CheckpointWriter(Storage(tmp_path), seconds=60)
    assert not writer.is_due(is_end=False)
    assert writer.is_due(is_end=True)
    now.return_value = 160.0
    assert writer.is_due(is_end=False)
    writer.write(Checkpoint({}, {}, {}, []))
    assert not writer.is_due(is_end=False)
    assert not CheckpointWriter(None, seconds=0).is_due(is_end=True)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda _: b"", "does not begin as one of this version does"),
        (lambda content: content[:-1], "its checksum does not fit"),
        (lambda content: content[:-100] + b"?" + content[-99:], "its checksum does not fit"),
        (lambda content: content.replace(b"checkpoint 2", b"checkpoint 9"), "does not begin as one of this version"),
    ],
)
def test_a_damaged_checkpoint_is_set_aside_and_said(
    damage: Any, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Storage(tmp_path)
    written(place, Checkpoint({}, {}, {}, [result(1)]))
    place.write(CHECKPOINT, damage(place.read(CHECKPOINT)))
    assert load_checkpoint(place) is None
    assert place.names() == ["checkpoint.pt.damaged"]
    (record,) = caplog.records
    assert why in record.getMessage()
    assert record.getMessage().startswith(f"{tmp_path}/checkpoint.pt is damaged")


def test_weights_carry_a_checksum_and_those_of_other_programs_need_none(tmp_path: Path) -> None:
    place, network = Storage(tmp_path), torch.nn.BatchNorm1d(3)
    save_student(place, network)
    content = place.read(STUDENT)
    assert content is not None
    assert all(torch.equal(found, network.state_dict()[name]) for name, found in load_weights(content).items())
    assert load_weights(save({"w": torch.ones(2)}))["w"].tolist() == [1, 1]
    for wrong in (b"", content[:-4], content[:-1] + bytes([content[-1] ^ 1])):
        with pytest.raises(InputError, match=r"checksum does not fit|no whole file of weights"):
            load_weights(wrong)
        place.write(STUDENT, wrong)
        assert stored_weights(place, STUDENT) is None
        assert place.names() == ["student.safetensors.damaged"]


def test_a_student_with_one_layer_at_two_places_is_stored(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    network = torch.nn.Sequential(layer, layer)
    save_student(Storage(tmp_path), network)
    weights = load_weights(Storage(tmp_path).read(STUDENT) or b"")
    assert sorted(weights) == ["0.bias", "0.weight", "1.bias", "1.weight"]
    assert torch.equal(weights["1.weight"], layer.weight)
