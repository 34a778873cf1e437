"""PyTorch's own files: what would run code, what unpacks to more than it has, and the way out that is offered."""

import argparse
import collections
import datetime
import decimal
import io
import os
import pathlib
import pickle
import shlex
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cktf.errors import InputError
from cktf.trial import pytorch_file
from cktf.trial.pytorch_file import FLOOR, LARGEST_PICKLE, most_bytes, read_pytorch
from cktf.trial.weights import read_weights

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


def refusal_of(path: Path) -> str:
    with pytest.raises(InputError, match=r"is not loaded, for it asks for \S+, and loading that could") as raised:
        read_weights(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def command_in(message: str) -> list[Any]:
    command = message.partition(", run this, ")[2].partition(": ")[2].partition("; then name ")[0]
    python, *arguments = shlex.split(command)
    assert python == "python"
    return [sys.executable, *arguments]


HARMLESS = {
    "numpy_scalar": {"model": WEIGHTS, "best": np.float64(71.3)},
    "under_keys_of_its_own": {
        "run": {"student_of_mine": WEIGHTS, "when": datetime.date(2026, 1, 1)},
        "options": types.SimpleNamespace(a=1),
    },
    "arrays": {"model": {key: value.numpy() for key, value in WEIGHTS.items()}},
    "everything": {
        "model": "resnet8",
        "opt": argparse.Namespace(where=pathlib.PurePosixPath("a"), rate=decimal.Decimal("0.1")),
        "history": collections.defaultdict(list, loss=[np.float64(1.0)]),
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": np.float64(0.1)}]},
        "model_state_dict": collections.OrderedDict(WEIGHTS),
    },
}


@pytest.mark.parametrize(("kind", "zipped"), [*((kind, True) for kind in HARMLESS), ("everything", False)])
def test_the_way_out_that_a_refusal_names_makes_a_file_that_loads(
    tmp_path: Path, kind: Any, zipped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it's mine.pth"
    torch.save(HARMLESS[kind], path, _use_new_zipfile_serialization=zipped)
    command = command_in(refusal_of(path))
    if kind == "everything" and zipped:
        subprocess.run(command, check=True, timeout=100)
    else:  # torch alone takes seconds to import
        _, option, program, *arguments = command
        assert option == "-c"
        monkeypatch.setattr(sys, "argv", [option, *arguments])
        exec(program, {"__name__": "__main__"})  # noqa: S102  # our own message
    found = read_weights(tmp_path / "it's mine.tensors.pth")
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], value) for key, value in WEIGHTS.items())


class Calls:
    """Pickles to a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


HARMFUL = [
    (os.system, "true"),
    (os.getcwd,),
    (subprocess.getoutput, "true"),
    (eval, "1"),
    (getattr, 1, "real"),
    (__import__, "os"),
    (open, "/dev/null"),
    (np.load, "/nowhere"),
    (np.testing.run_module_suite if hasattr(np.testing, "run_module_suite") else np.testing.assert_, True),
    (torch.load, "/nowhere"),
    (pathlib.Path.touch, pathlib.Path("/dev/null")),
    (Calls, 1),
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("call", HARMFUL, ids=lambda call: f"{call[0].__module__}.{call[0].__qualname__}")
def test_no_command_is_offered_for_a_file_that_asks_for_anything_else(tmp_path: Path, call: Any, zipped: bool) -> None:
    # Behind something harmless, which is what PyTorch refuses first.
    content = {"best": np.float64(71.3), "opt": Calls(*call), "model": WEIGHTS}
    torch.save(content, tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
    message = refusal_of(tmp_path / "file.pth")
    assert "python" not in message
    assert "weights_only" not in message
    assert "Have whoever made the file save its tensors alone" in message


def test_no_command_is_offered_where_names_are_put_together_while_the_file_is_read(tmp_path: Path) -> None:
    torch.save({"best": np.float64(1.0)}, tmp_path / "file.pth", pickle_protocol=4)
    with pytest.raises(InputError) as raised:
        read_weights(tmp_path / "file.pth")
    assert "python" not in str(raised.value)


def zipped_again(content: dict[str, Any], path: Path, compression: int = zipfile.ZIP_STORED, **members: Any) -> None:
    """Write what `torch.save` writes of some content, with members of other bytes."""
    saved = io.BytesIO()
    torch.save(content, saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", compression) as new:
        for entry in old.infolist():
            name = entry.filename.rpartition("/")[2].replace(".", "_")
            new.writestr(entry.filename, members.get(name) or old.read(entry))


def test_a_file_that_unpacks_to_far_more_than_it_has_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.pth"
    zipped_again({"a": torch.zeros(2**20)}, path, zipfile.ZIP_DEFLATED)
    assert read_weights(path)["a"].shape == (2**20,)
    monkeypatch.setattr(pytorch_file, "FLOOR", 2**20)  # as the limit is passed by a larger file
    with pytest.raises(InputError, match=rf"has \d+ bytes and would unpack to 419\d+, where {2**20} are allowed"):
        read_weights(path)


def test_one_that_is_compressed_within_the_limit_is_read(tmp_path: Path) -> None:
    zipped_again(WEIGHTS, tmp_path / "file.pth", zipfile.ZIP_DEFLATED)
    assert read_weights(tmp_path / "file.pth").keys() == WEIGHTS.keys()
    assert most_bytes(100) == FLOOR
    assert most_bytes(FLOOR) == 10 * FLOOR


def test_a_list_of_tensors_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    zipped_again(WEIGHTS, tmp_path / "file.pth", zipfile.ZIP_DEFLATED, data_pkl=b"N" * (LARGEST_PICKLE + 1))
    with pytest.raises(InputError, match=r"what says which tensors it has \(\S*data\.pkl\) has 8388609 bytes, where"):
        read_weights(tmp_path / "file.pth")


def test_a_tensor_that_claims_more_than_its_part_of_the_file_is_refused(tmp_path: Path) -> None:
    saved = io.BytesIO()
    torch.save({"a": torch.arange(10.0)}, saved)
    with zipfile.ZipFile(saved) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        pickled = archive.read(name).replace(b"K\x0a", b"J\x00\x00\x00\x10")
    zipped_again({"a": torch.arange(10.0)}, tmp_path / "file.pth", data_pkl=pickled)
    with pytest.raises(InputError, match=r"file\.pth is not a PyTorch file of tensors: "):
        read_weights(tmp_path / "file.pth")


def test_a_bytearray_which_may_be_of_any_size_is_refused(tmp_path: Path) -> None:
    pickled = pickle.dumps({"a": Calls(bytearray, 10**10)}, protocol=2)
    zipped_again(WEIGHTS, tmp_path / "file.pth", data_pkl=pickled)
    with pytest.raises(InputError, match=r"it holds a bytearray"):
        read_weights(tmp_path / "file.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b"PK\x03\x04 and no more", r"it is damaged \("),
        (b"\x80\x02", "it is damaged, or of another kind"),
        (b"garbage", "it is damaged, or of another kind"),
    ],
)
def test_a_file_of_another_kind_is_called_by_it(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"file\.pth is not a PyTorch file of tensors: {message}"):
        read_pytorch(tmp_path / "file.pth", content)


def test_a_program_is_told_from_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.pt", "w") as archive:  # as torch.jit.save names its parts
        archive.writestr("net/data.pkl", b"\x80\x02}.")
        archive.writestr("net/constants.pkl", b"\x80\x02).")
    with pytest.raises(InputError, match=r"it is a program \(TorchScript\); save its state_dict"):
        read_weights(tmp_path / "file.pt")
