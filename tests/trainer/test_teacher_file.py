"""Files of trained weights: each kind that is shared, and those that would run code."""

import argparse
import shlex
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cktf.trainer.teacher_file import content_digest, convert_weights, differences, read_weights

WEIGHTS = {"conv.weight": torch.arange(6.0).view(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


def assert_are_the_weights(found):
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], value) for key, value in WEIGHTS.items())


def published():
    """What a training script saves: options, the optimizer's state and scores beside the weights."""
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    parameter.sum().backward()
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
def test_every_usual_kind_of_file_is_read(tmp_path, kind, zipped):
    torch.save(CONTENTS[kind], tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
    assert_are_the_weights(read_weights(tmp_path / "file.pth"))


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_is_converted_to_safetensors(tmp_path, kind):
    torch.save(CONTENTS[kind], tmp_path / "file.pth")
    convert_weights(tmp_path / "file.pth", tmp_path / "file.safetensors")
    assert_are_the_weights(load_file(tmp_path / "file.safetensors"))
    assert_are_the_weights(read_weights(tmp_path / "file.safetensors"))


def test_tensors_that_share_memory_or_skip_through_it_are_converted(tmp_path):
    whole = torch.arange(48.0).view(2, 4, 2, 3)
    tensors = {"whole": whole, "part": whole[0], "last": whole.to(memory_format=torch.channels_last)}
    torch.save(tensors, tmp_path / "file.pth")
    convert_weights(tmp_path / "file.pth", tmp_path / "file.safetensors")
    found = load_file(tmp_path / "file.safetensors")
    assert all(torch.equal(found[key], value) for key, value in tensors.items())


class Creates:
    """Pickles to a call that creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


class Opens(Creates):
    """Pickles to a call of a builtin that creates a file."""

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("payload", [Creates, Opens])
@pytest.mark.parametrize("wrap", [lambda x: {"model": WEIGHTS, "opt": x}, lambda x: argparse.Namespace(a=x)])
def test_a_file_that_would_run_code_is_refused_and_nothing_of_it_runs(tmp_path, payload, wrap, zipped):
    victim, path = tmp_path / "created", tmp_path / "bad.pth"
    torch.save(wrap(payload(victim)), path, _use_new_zipfile_serialization=zipped)
    assert not victim.exists()
    with pytest.raises(ValueError, match=r"bad\.pth is not loaded, for it asks for \S+, and") as raised:
        read_weights(path)
    assert len(str(raised.value).splitlines()) == 1
    with pytest.raises(ValueError, match="is not loaded"):
        convert_weights(path, tmp_path / "bad.safetensors")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.pth"]


def test_the_payload_of_these_tests_does_create_a_file(tmp_path):
    torch.save(Creates(tmp_path / "created"), tmp_path / "bad.pth")
    torch.load(tmp_path / "bad.pth", weights_only=False)
    assert (tmp_path / "created").exists()


def test_the_way_out_that_a_refusal_names_makes_a_file_that_loads(tmp_path):
    path = tmp_path / "it's mine.pth"
    torch.save({"model": WEIGHTS, "best": np.float64(71.3)}, path)
    with pytest.raises(ValueError, match=r"asks for numpy\.\S+, and") as raised:
        read_weights(path)
    command = str(raised.value).partition(", run this, ")[2].partition(": ")[2].partition("; then name ")[0]
    python, *arguments = shlex.split(command)
    assert python == "python"
    subprocess.run([sys.executable, *arguments], check=True, timeout=100)
    assert_are_the_weights(read_weights(tmp_path / "it's mine.tensors.pth"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("file.pth", b"no pickle at all", r"file\.pth is not a PyTorch file of tensors: "),
        (
            "file.pth",
            b"hello\n",
            r"file\.pth is not a PyTorch file of tensors: it is damaged, or of another kind",
        ),
        ("file.pth", b"", r"file\.pth is not a PyTorch file of tensors: "),
        ("file.safetensors", b"no safetensors at all", r"file\.safetensors is not a safetensors file: "),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_weights(tmp_path / name)
    assert "weights_only" not in str(raised.value)  # PyTorch's advice to do without its guard


@pytest.mark.parametrize(
    "content", [{}, [1, 2], {"model": 3}, {"a": torch.ones(1), "b": 2}, {1: torch.ones(1)}]
)
def test_a_file_without_a_state_dict_is_named(tmp_path, content):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(
        ValueError, match=r"file\.pth holds no state dict, neither at its top nor under 'model'"
    ):
        read_weights(tmp_path / "file.pth")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.pth cannot be read: No such file"):
        read_weights(tmp_path / "absent.pth")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_weights(tmp_path)


def test_a_target_that_is_no_safetensors_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"file\.pth: the name of what is written must end in \.safetensors"):
        convert_weights(tmp_path / "absent.pth", tmp_path / "file.pth")


def test_the_digest_is_that_of_the_content_and_follows_it(tmp_path):
    path = tmp_path / "file"
    assert content_digest(path) is None
    path.write_bytes(b"abc")  # the example of FIPS 180
    assert content_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"")
    assert content_digest(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_content_that_has_not_the_digest_asked_for_is_refused(tmp_path):
    path = tmp_path / "file.pth"
    torch.save(WEIGHTS, path)
    assert_are_the_weights(read_weights(path, content_digest(path)))
    with pytest.raises(ValueError, match=rf"its SHA-256 is {content_digest(path)}, not {'0' * 64}"):
        read_weights(path, "0" * 64)


def test_differences_name_a_few_keys_of_each_kind():
    expected = {f"layer{number}": torch.zeros(number) for number in range(1, 7)}
    found = {"layer6": torch.zeros(2), "extra": torch.zeros(1)}
    assert differences(expected, found) == (
        "missing: layer1, layer2, layer3 and 2 more; not among its keys: extra; shapes: layer6 is (2,), not (6,)"
    )
    assert differences(expected, expected) == ""
