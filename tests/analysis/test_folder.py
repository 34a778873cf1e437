"""Files of a report are written whole."""

from pathlib import Path

from pyarrow import fs

from analysis.folder import open_folder, read, write


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
