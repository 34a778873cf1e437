"""Files of a report are written whole."""

import errno
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from analysis import load, write_report
from cktf.errors import InputError
from cktf.storage import open_folder, read, write


class Interrupting(fs.SubTreeFileSystem):
    """Lets another writer write the same file between the first one's content and its move."""

    def move(self, src: str, dest: str) -> None:
        write(fs.SubTreeFileSystem(self.base_path, self.base_fs), dest, b"another")
        super().move(src, dest)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    write(folder, "tables/a.csv", b"old and long")
    write(folder, "tables/a.csv", b"new")
    assert read(folder, "tables/a.csv") == b"new"
    assert [path.name for path in tmp_path.rglob("*.*")] == ["a.csv"]


def test_two_reports_written_at_once_share_no_half_written_file(tmp_path: Path) -> None:
    folder = Interrupting(str(tmp_path), fs.LocalFileSystem())
    write(folder, "a.csv", b"mine")
    assert read(folder, "a.csv") == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_file_that_cannot_be_written_is_named_once_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as said:
        write(open_folder(tmp_path / "file" / "report"), "a.csv", b"x")
    assert str(said.value) == f"{tmp_path}/file/report/a.csv: cannot be written: Not a directory"


def test_a_full_disk_is_told_with_the_room_that_is_needed_and_nothing_is_left(tmp_path: Path) -> None:
    class Full(fs.SubTreeFileSystem):
        def open_output_stream(self, *_: Any, **__: Any) -> Any:
            raise OSError(errno.ENOSPC, "[Errno 28] Error writing bytes to file")

    with pytest.raises(InputError) as said:
        write(Full(str(tmp_path), fs.LocalFileSystem()), "a.csv", b"x" * 2000)
    full = "No space left on device; it needs 2,000 bytes of room"
    assert str(said.value) == f"{tmp_path}/a.csv: cannot be written: {full}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["~nobody-of-this-name/x", "s3://", "s3:///x", "foo://x", "x" * 300])
def test_a_place_that_cannot_be_opened_or_read_is_named(place: str) -> None:
    for use in (load, write_report):
        with pytest.raises(InputError) as said:
            use(place)
        assert str(said.value).startswith(f"{place}: ")
        assert str(said.value).count(place) == (2 if place == "s3://" else 1)  # the example has one, too
