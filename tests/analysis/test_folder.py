"""Files of a report are written whole."""

from pathlib import Path

import pytest

from analysis import load, write_report
from cktf.errors import InputError
from cktf.storage import open_folder, read, write


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    write(folder, "tables/a.csv", b"old and long")
    write(folder, "tables/a.csv", b"new")
    assert read(folder, "tables/a.csv") == b"new"
    assert [path.name for path in tmp_path.rglob("*.*")] == ["a.csv"]


def test_a_file_that_cannot_be_written_is_named_once_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as said:
        write(open_folder(tmp_path / "file" / "report"), "a.csv", b"x")
    assert str(said.value) == f"{tmp_path}/file/report/a.csv: cannot be written: Not a directory"


@pytest.mark.parametrize("place", ["~nobody-of-this-name/x", "s3://", "s3:///x", "foo://x", "x" * 300])
def test_a_place_that_cannot_be_opened_or_read_is_named(place: str) -> None:
    for use in (load, write_report):
        with pytest.raises(InputError) as said:
            use(place)
        assert str(said.value).startswith(place)
        assert str(said.value).count(place) == (2 if place == "s3://" else 1)  # the example has one, too
