"""Arrays in files: written whole or not at all, mapped to be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cktf.mapped_arrays import read_array, write_array

VALUES = np.arange(12, dtype=np.float16).reshape(4, 3)


def test_pieces_are_read_as_one_array_whatever_their_order_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "some.float16"
    write_array(path, [VALUES[:1], np.asfortranarray(VALUES[1:])])
    found = read_array(path, np.float16, (4, 3))
    assert found is not None
    assert np.array_equal(found, VALUES)
    assert not found.flags.writeable
    assert [entry.name for entry in path.parent.iterdir()] == ["some.float16"]


def test_a_file_of_another_size_is_none(tmp_path: Path) -> None:
    path = tmp_path / "some.float16"
    assert read_array(path, np.float16, (4, 3)) is None
    write_array(path, [VALUES])
    assert read_array(path, np.float32, (4, 3)) is None
    assert read_array(path, np.float16, (4, 4)) is None
    assert read_array(tmp_path, np.float16, (4, 3)) is None


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def fail() -> Iterator[np.ndarray[Any, Any]]:
        yield VALUES[:2] + 1
        raise ValueError("no more")

    path = tmp_path / "some.float16"
    write_array(path, [VALUES])
    with pytest.raises(ValueError, match="no more"):
        write_array(path, fail())
    found = read_array(path, np.float16, (4, 3))
    assert found is not None
    assert np.array_equal(found, VALUES)
    assert [*tmp_path.iterdir()] == [path]
