"""Files of tables: whole or not there, the least recently used displaced, and no reason for a trial to fail."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from filelock import FileLock

from cktf.trial.reading_files import ReadingFiles, size_limit

BYTES = 2 * 3 * 4


def table(value: float) -> Any:
    return torch.full((3, 4), float(value), dtype=torch.float16)


def kept(files: ReadingFiles, *names: Any) -> list[Any]:
    return [name for name in names if files.read(name, 3, 4) is not None]


@pytest.fixture
def files(tmp_path: Path) -> ReadingFiles:
    return ReadingFiles(tmp_path / "readings", limit=10 * BYTES)


def test_a_table_is_read_as_it_was_written_and_by_its_shape_alone(files: ReadingFiles) -> None:
    written = torch.arange(12.0).view(3, 4).half()
    assert files.read("a/1", 3, 4) is None
    files.write("a/1", written)
    found = files.read("a/1", 3, 4)
    assert found is not None
    assert torch.equal(found, written)
    assert files.read("a/1", 3, 5) is None
    assert files.read("a/2", 3, 4) is None


def test_the_least_recently_used_tables_make_room(tmp_path: Path) -> None:
    files = ReadingFiles(tmp_path, limit=3 * BYTES)
    for name in "abc":
        files.write(name, table(1))
    for age, name in enumerate("cba"):  # written at moments that a clock can tell apart
        os.utime(tmp_path / f"{name}.float16", (age, age))
    files.read("c", 3, 4)
    files.write("d", table(2))
    assert kept(files, *"abcd") == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in tmp_path.glob("*.float16")) == 3 * BYTES


def test_a_table_above_the_limit_displaces_nothing(tmp_path: Path) -> None:
    files = ReadingFiles(tmp_path, limit=3 * BYTES)
    files.write("a", table(1))
    files.write("b", torch.zeros(100, 4, dtype=torch.float16))
    assert files.read("b", 100, 4) is None
    assert kept(files, "a")


def test_a_table_that_is_displaced_stays_with_those_who_read_it(tmp_path: Path) -> None:
    files = ReadingFiles(tmp_path, limit=BYTES)
    files.write("a", table(1))
    mapped = files.read("a", 3, 4)
    files.write("b", table(2))
    assert not kept(files, "a")
    assert mapped is not None
    assert torch.equal(mapped, table(1))


def test_a_killed_writer_leaves_no_table_and_holds_up_nobody(files: ReadingFiles) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from cktf.locks import exclusive\n"
        "folder = Path(sys.argv[1])\n"
        "with exclusive(folder / 'a.lock'), exclusive(folder / 'lock'):\n"
        "    (folder / 'a.float16.0123.partial').write_bytes(b'half of it')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, files.folder], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        writer.kill()
    assert not kept(files, "a")
    with files.turn("a"):
        files.write("a", table(1))
    found = files.read("a", 3, 4)
    assert found is not None
    assert torch.equal(found, table(1))
    assert not list(files.folder.glob("*.partial"))


def test_a_folder_that_cannot_be_written_is_said_once_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    files = ReadingFiles(tmp_path / "file", limit=10 * BYTES)
    for name in "ab":
        with files.turn(name):
            assert files.read(name, 3, 4) is None
            files.write(name, table(1))
    (record,) = caplog.records
    assert "is not stored in" in record.message
    assert str(tmp_path / "file") in record.message


def test_a_file_system_without_locks_is_said_and_fails_nothing(
    files: ReadingFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FileLock, "acquire", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with files.turn("a"):
        files.write("a", table(1))
    assert kept(files, "a") == []
    (record,) = caplog.records
    assert "cannot be locked: No locks available" in record.getMessage()


def test_a_disk_that_is_full_in_the_midst_of_a_table_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = ReadingFiles(tmp_path, limit=10**6)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # to a writer the same as no room
    try:
        files.write("large", torch.ones(1000, 4, dtype=torch.float16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files.read("large", 1000, 4) is None
    assert "is not stored in" in caplog.text
    files.write("a", table(1))
    assert kept(files, "a")
    assert not list(tmp_path.glob("*.partial"))


def test_the_limit_is_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CKTF_CACHE_GB", raising=False)
    assert size_limit() == 20 * 10**9
    monkeypatch.setenv("CKTF_CACHE_GB", "0.5")
    assert size_limit() == 5 * 10**8
    for wrong in ("-1", "much", "inf", "nan", ""):
        monkeypatch.setenv("CKTF_CACHE_GB", wrong)
        with pytest.raises(ValueError, match=r"\$CKTF_CACHE_GB: must be a number of gigabytes, 0 or more; got"):
            size_limit()
