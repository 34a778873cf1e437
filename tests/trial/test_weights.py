"""Files of trained weights: each kind that is shared, and those that would run code."""

import argparse
import json
import math
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cktf.errors import InputError
from cktf.trial.weights import content_digest, convert_weights, differences, read_weights, unusable

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


def assert_are_the_weights(found: Any) -> None:
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], value) for key, value in WEIGHTS.items())


def published() -> dict[str, Any]:
    """What a training script saves: options, the optimizer's state and scores beside the weights."""
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    torch.autograd.backward(parameter.sum())
    optimizer.step()
    options = argparse.Namespace(model="resnet8", learning_rate=0.05, lr_decay_epochs=[150, 180], mixed=None)
    return {
        "opt": options,
        "epoch": 240,
        "best_acc": torch.tensor(71.3),
        "optimizer": optimizer.state_dict(),
        "model": OrderedDict(WEIGHTS),
    }


CONTENTS = {
    "bare": WEIGHTS,
    "under_model": {"model": WEIGHTS},
    "under_state_dict": {"state_dict": WEIGHTS, "arch": "resnet8"},
    "published": published(),
    "data_parallel": {"model": {f"module.{key}": value for key, value in WEIGHTS.items()}},
    "parameters": {key: nn.Parameter(value, requires_grad=False) for key, value in WEIGHTS.items()},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_usual_kind_of_file_is_read(tmp_path: Path, kind: Any, zipped: bool) -> None:
    torch.save(CONTENTS[kind], tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
    assert_are_the_weights(read_weights(tmp_path / "file.pth"))


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_is_converted_to_safetensors(tmp_path: Path, kind: Any) -> None:
    torch.save(CONTENTS[kind], tmp_path / "file.pth")
    convert_weights(tmp_path / "file.pth", tmp_path / "file.safetensors")
    assert_are_the_weights(load_file(tmp_path / "file.safetensors"))
    assert_are_the_weights(read_weights(tmp_path / "file.safetensors"))


def test_tensors_that_share_memory_or_skip_through_it_are_converted(tmp_path: Path) -> None:
    whole = torch.arange(48.0).view(2, 4, 2, 3)
    tensors = {"whole": whole, "part": whole[0], "last": whole.to(memory_format=torch.channels_last)}
    torch.save(tensors, tmp_path / "file.pth")
    convert_weights(tmp_path / "file.pth", tmp_path / "file.safetensors")
    found = load_file(tmp_path / "file.safetensors")
    assert all(torch.equal(found[key], value) for key, value in tensors.items())


class Creates:
    """Pickles to a call that creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.path),))


class Opens(Creates):
    """Pickles to a call of a builtin that creates a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("payload", [Creates, Opens])
@pytest.mark.parametrize("wrap", [lambda x: {"model": WEIGHTS, "opt": x}, lambda x: argparse.Namespace(a=x)])
def test_a_file_that_would_run_code_is_refused_and_nothing_of_it_runs(
    tmp_path: Path, payload: Any, wrap: Any, zipped: bool
) -> None:
    victim, path = tmp_path / "created", tmp_path / "bad.pth"
    torch.save(wrap(payload(victim)), path, _use_new_zipfile_serialization=zipped)
    assert not victim.exists()
    with pytest.raises(ValueError, match=r"bad\.pth is not loaded, for it asks for \S+, and") as raised:
        read_weights(path)
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(ValueError, match="is not loaded"):
        convert_weights(path, tmp_path / "bad.safetensors")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.pth"]


def test_the_payload_of_these_tests_does_create_a_file(tmp_path: Path) -> None:
    torch.save(Creates(tmp_path / "created"), tmp_path / "bad.pth")
    torch.load(tmp_path / "bad.pth", weights_only=False)
    assert (tmp_path / "created").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("file.pth", b"no pickle at all", r"file\.pth is not a PyTorch file of tensors: "),
        ("file.pth", b"hello\n", r"file\.pth is not a PyTorch file of tensors: it is damaged, or of another kind"),
        ("file.pth", b"", r"file\.pth is not a PyTorch file of tensors: "),
        ("file.safetensors", b"no safetensors at all", r"file\.safetensors is not a safetensors file of "),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_weights(tmp_path / name)
    assert "weights_only" not in str(raised.value)  # PyTorch's advice to do without its guard


@pytest.mark.parametrize("content", [{}, [1, 2], {"model": 3}, {"a": torch.ones(1), "b": 2}, {1: torch.ones(1)}])
def test_a_file_without_a_state_dict_is_named(tmp_path: Path, content: dict[str, Any] | list[Any]) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(
        ValueError, match=r"file\.pth holds no state dict, which is a mapping of names to tensors; it holds "
    ):
        read_weights(tmp_path / "file.pth")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.pth cannot be read: No such file"):
        read_weights(tmp_path / "absent.pth")
    with pytest.raises(ValueError, match="cannot be read: it is no regular file"):
        read_weights(tmp_path)


def test_a_target_that_is_no_safetensors_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"file\.pth: the name of what is written must end in \.safetensors"):
        convert_weights(tmp_path / "absent.pth", tmp_path / "file.pth")


def test_the_digest_is_that_of_the_content_and_follows_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert content_digest(path) is None
    path.write_bytes(b"abc")  # the example of FIPS 180
    assert content_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"")
    assert content_digest(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_content_that_has_not_the_digest_asked_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save(WEIGHTS, path)
    assert_are_the_weights(read_weights(path, content_digest(path)))
    with pytest.raises(ValueError, match=rf"its SHA-256 is {content_digest(path)}, not {'0' * 64}"):
        read_weights(path, "0" * 64)


def test_differences_name_a_few_keys_of_each_kind() -> None:
    expected = {f"layer{number}": torch.zeros(number) for number in range(1, 7)}
    found = {"layer6": torch.zeros(2), "extra": torch.zeros(1)}
    assert differences(expected, found) == (
        "missing: layer1, layer2, layer3 and 2 more; not among its keys: extra (1,); shapes: layer6 is (2,), not (6,)"
    )
    assert differences(expected, expected) == ""


def test_a_device_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.pth"
    os.mkfifo(pipe)
    for place in ("/dev/zero", pipe, "~nobody-of-this-name/x.pth", "a\0b.pth"):
        assert content_digest(place) is None
        with pytest.raises(InputError, match=r"cannot be read: it is no(t the name of a| regular) file") as raised:
            read_weights(place)
        assert str(raised.value).isprintable()


def test_a_file_beyond_the_limit_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "holes.pth"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert content_digest(path) is None
    with pytest.raises(InputError, match=r"has 1099511627776 bytes, where 4294967296 are allowed"):
        read_weights(path)


def test_tensors_that_are_far_larger_than_their_file_are_refused(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.zeros(1).expand(2**30)}}, tmp_path / "file.pth")
    for act in (read_weights, lambda path: convert_weights(path, tmp_path / "out.safetensors")):
        with pytest.raises(InputError, match="its tensors would have 4294967296"):
            act(tmp_path / "file.pth")


ODD: dict[str, tuple[Callable[[], torch.Tensor], str]] = {
    "meta": (lambda: torch.empty(2, device="meta"), "without data"),
    "sparse": (lambda: torch.eye(2).to_sparse(), "sparse"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), "quint8"),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), "complex64"),
    "float8": (lambda: torch.ones(2).to(torch.float8_e4m3fn), "float8_e4m3fn"),
}


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")
@pytest.mark.parametrize("kind", ODD)
def test_what_is_not_converted_is_named_with_its_tensor_and_type(tmp_path: Path, kind: Any) -> None:
    tensor, word = ODD[kind]
    torch.save({"conv.weight": torch.ones(1), "fc.weight": tensor()}, tmp_path / "file.pth")
    with pytest.raises(InputError, match=rf"file\.pth.*: .*fc\.weight is .*{word}"):
        convert_weights(tmp_path / "file.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def safetensors_of(header: Any, body: bytes = b"") -> Any:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            safetensors_of({"fc.weight": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"1"),
            r"is not a safetensors file of PyTorch's types: .*F4",
        ),
        (
            safetensors_of({"a": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
            r"is not a safetensors file of PyTorch's types: .*F8_E8M0",
        ),
        (safetensors_of({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}), "is not a safet"),
        (safetensors_of({"a": {"dtype": "F32", "shape": [2**31, 2**31, 2**31], "data_offsets": [0, 0]}}), "is not"),
        (safetensors_of({"a": {"dtype": "F32", "shape": [0, 2**40, 2**40], "data_offsets": [0, 0]}}), "is not"),
        (safetensors_of({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 1]}}, b"1"), "is not a safetensors"),
        (safetensors_of({}), "holds no state dict"),
        (safetensors_of([1]), "is not a safetensors file"),
        ((2**63).to_bytes(8, "little"), "is not a safetensors file"),
        ((2**40).to_bytes(8, "little") + b"{}", "is not a safetensors file"),
    ],
)
def test_safetensors_whose_header_lies_or_has_odd_types_are_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read_weights(path)
    assert str(path) in str(raised.value)


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "file.pth")
    (tmp_path / "a_file").touch()
    with pytest.raises(InputError, match=r"a_file/out\.safetensors: "):
        convert_weights(tmp_path / "file.pth", tmp_path / "a_file" / "out.safetensors")


def test_weights_that_no_training_leaves_are_named() -> None:
    weights = {
        "nan": torch.tensor([1.0, math.nan]),
        "infinite": torch.tensor([-math.inf]),
        "absurd": torch.tensor([-1e30]),
        "fine": torch.tensor([1e6, -3.0]),
        "whole": torch.tensor([2**60]),
    }
    assert unusable(weights) == "NaN or numbers beyond 1e+10, in nan, infinite, absurd"
    assert unusable({"fine": weights["fine"], "empty": torch.empty(0)}) == ""
