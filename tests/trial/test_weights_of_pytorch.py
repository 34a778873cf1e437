"""PyTorch's own files: what would run code."""

import argparse
import io
import os
import pathlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cktf.errors import InputError
from cktf.trial.weights import read_weights
from tests.trial.test_weights import WEIGHTS


class Calls:
    """Pickles to a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


CALLS = [
    (os.system, "true"),
    (os.getcwd,),
    (eval, "1"),
    (getattr, 1, "real"),
    (__import__, "os"),
    (open, "/dev/null"),
    (np.load, "/nowhere"),
    (torch.load, "/nowhere"),
    (pathlib.Path.touch, pathlib.Path("/dev/null")),
    (Calls, 1),
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0].__module__}.{call[0].__qualname__}")
def test_a_file_that_asks_for_a_call_is_refused_with_what_to_do(tmp_path: Path, call: Any, zipped: bool) -> None:
    content = {"opt": argparse.Namespace(a=Calls(*call)), "model": WEIGHTS}
    torch.save(content, tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"is not loaded, for it asks for \S+, and loading that could") as raised:
        read_weights(tmp_path / "file.pth")
    message = str(raised.value)
    assert str(tmp_path / "file.pth") in message
    assert len(message.splitlines()) == 1
    assert "weights_only" not in message
    assert "Save its tensors alone: a state dict, or safetensors" in message


def zipped_again(content: dict[str, Any], path: Path, compression: int = zipfile.ZIP_STORED, **members: Any) -> None:
    """Write what `torch.save` writes of some content, with members of other bytes."""
    saved = io.BytesIO()
    torch.save(content, saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", compression) as new:
        for entry in old.infolist():
            name = entry.filename.rpartition("/")[2].replace(".", "_")
            new.writestr(entry.filename, members.get(name) or old.read(entry))


def test_a_tensor_that_claims_more_than_its_part_of_the_file_is_refused(tmp_path: Path) -> None:
    saved = io.BytesIO()
    torch.save({"a": torch.arange(10.0)}, saved)
    with zipfile.ZipFile(saved) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        pickled = archive.read(name).replace(b"K\x0a", b"J\x00\x00\x00\x10")
    zipped_again({"a": torch.arange(10.0)}, tmp_path / "file.pth", data_pkl=pickled)
    with pytest.raises(InputError, match=r"file\.pth is not a PyTorch file of tensors: "):
        read_weights(tmp_path / "file.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "it is damaged, or of another kind"),
        (b"PK\x03\x04 and no more", "it is damaged, or of another kind"),
        (b"\x80\x02", "it is damaged, or of another kind"),
        (b"garbage", "it is damaged, or of another kind"),
    ],
)
def test_a_file_of_another_kind_is_called_by_it(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"file\.pth is not a PyTorch file of tensors: {message}"):
        read_weights(tmp_path / "file.pth")


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_program_is_no_file_of_weights(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "file.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match=r"it is a program \(TorchScript\); save its state_dict"):
        read_weights(tmp_path / "file.pt")
