"""Pickles of data alone."""

import collections
import io
import pickle
import pickletools
import struct
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from cktf.data.files.plain_pickle import read_plain_pickle

CONTENT: dict[str | bytes, Any] = {
    "images": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big end first": np.arange(3, dtype=">i4"),
    "truth": np.array([True, False]),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "numbers": [1, -1, 300, 70_000, 2**40, 2**80, 0.5, True, False, None],
    "scalars": [np.int64(-4), np.float32(0.5), np.uint8(255)],
    "text": "caf\u00e9 \u2603",
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "nested": {"a": [{}, {"b": []}]},
    b"bytes": [1],
}


@pytest.mark.parametrize("protocol", range(6))
def test_data_are_read_as_by_pythons_own_reader(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "data"
    path.write_bytes(pickle.dumps(CONTENT, protocol=protocol))
    keys = [key if isinstance(key, str) else key.decode() for key in CONTENT]
    found = read_plain_pickle(path, [*keys, "absent"])
    assert [*found] == keys
    for key, expected in zip(keys, CONTENT.values(), strict=True):
        if isinstance(expected, np.ndarray):
            assert found[key].dtype == expected.dtype
            assert np.array_equal(found[key], expected)
        else:
            assert found[key] == expected
            assert repr(found[key]) == repr([x.item() for x in expected] if key == "scalars" else expected)


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    # As in CIFAR's own files: bytes of text, an array whose numbers are such text, and NumPy's older names.
    header = b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
    array = b"K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07"
    rest = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06\x00\x01\x02\xfd\xfe\xfftb"
    path = tmp_path / "data"
    path.write_bytes(header + array + rest + b"U\x06labelsq\x08]q\x09(K\x01K\x02eu.")
    expected = pickle.loads(path.read_bytes(), encoding="latin1")
    found = read_plain_pickle(path, ["data", "labels"])
    assert np.array_equal(found["data"], expected["data"])
    assert found["data"].tolist() == [[0, 1, 2], [253, 254, 255]]
    assert found["labels"] == [1, 2]


@pytest.mark.parametrize("value", [eval, io.open, time.sleep, np.load, torch.zeros(3), collections.OrderedDict()])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_what_is_no_data_is_refused(tmp_path: Path, value: object, protocol: int) -> None:
    path = tmp_path / "data"
    path.write_bytes(pickle.dumps({"data": value}, protocol=protocol))
    with pytest.raises(ValueError, match=f"{path} is not read: it is a pickle that asks for"):
        read_plain_pickle(path, ["data"])


@pytest.mark.parametrize("dtype", ["O", "U3", "M8[s]", "c16", [("a", "i4")]])
def test_arrays_of_anything_but_numbers_are_refused(tmp_path: Path, dtype: Any) -> None:
    path = tmp_path / "data"
    path.write_bytes(pickle.dumps({"data": np.zeros(2, dtype=np.dtype(dtype))}, protocol=2))
    with pytest.raises(ValueError, match="asks for an array of type"):
        read_plain_pickle(path, ["data"])


LARGE_MEMO = b"\x80\x02}r\xff\xff\xff\x7f."
LARGE_TEXT = b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"abc."
LARGE_ARRAY = b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)Rs."


@pytest.mark.parametrize("content", [LARGE_TEXT, LARGE_ARRAY], ids=["text", "array"])
def test_a_small_file_that_states_much_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is (damaged|not read)"):
        read_plain_pickle(path, ["data"])


def test_a_large_number_of_a_place_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(LARGE_MEMO)
    assert read_plain_pickle(tmp_path / "data", ["data"]) == {}


@pytest.mark.parametrize("content", [b"", b".", b"\x80\x02N.", b"\x80\x02K\x01", b"PK\x03\x04", b"\x93NUMPY"])
def test_what_is_no_batch_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"data.root: {path} is "):
        read_plain_pickle(path, ["data"])


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    path, random = tmp_path / "data", Random(0)  # noqa: S311
    whole = [pickle.dumps(CONTENT, protocol=protocol) for protocol in range(6)]
    assert all(pickletools.genops(content) for content in whole)
    refused = 0
    for _ in range(600):
        content = bytearray(random.choice(whole))
        for _ in range(random.randint(1, 4)):
            content[random.randrange(len(content))] = random.randrange(256)
        path.write_bytes(content[: random.randrange(len(content)) if random.random() < 0.2 else None])
        try:
            read_plain_pickle(path, ["images", "numbers", "scalars"])
        except ValueError as error:
            assert str(error).startswith(f"data.root: {path} is")  # noqa: PT017
            refused += 1
    assert 200 < refused < 600
