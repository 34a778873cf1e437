"""The ledger on a disk, killed and whole, and in a bucket."""

import errno
import fcntl
import os
import re
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from cktf.errors import InputError, RunInUse
from cktf.rows import EndRow, EpochRow, PlannedRow, Stage, Status
from cktf.run import ledger as ledger_module
from cktf.run.ledger import Ledger, is_in_use, read_latest, read_ledger
from cktf.storage import Storage
from tests.kinds import MakeResult
from tests.test_rows import STUDY


def end(trial_id: str) -> EndRow:
    return EndRow(trial_id=trial_id, status=Status.COMPLETE)


def told(run: Storage) -> list[Any]:
    """The rows that follow those of `begin`."""
    return [row for row in read_ledger(run) if isinstance(row, EpochRow | EndRow)]


def ids(run: Storage) -> list[Any]:
    return [row.trial_id for row in told(run)]


def begin(run: Storage) -> None:
    """Write the rows that all others need, as an earlier session's."""
    trials = [
        PlannedRow(trial_id=name, arm_id="a", arm="x", seed=seed, stage=Stage.DESIGN, number=0, params={}, config={})
        for seed, name in enumerate(("a", "b", "c", "lost", *map(str, range(100))))
    ]
    run.write("ledger/000000.jsonl", "".join(f"{row.to_json()}\n" for row in (STUDY, *trials)).encode())


@pytest.fixture
def run(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path / "run")
    begin(storage)
    return storage


def test_a_row_is_readable_as_soon_as_it_is_written(run: Storage) -> None:
    with Ledger(run) as ledger:
        ledger.append(end("a"))
        assert told(run) == [end("a")]


def test_each_session_writes_a_segment_of_its_own(run: Storage) -> None:
    for trial_id in "abc":
        with Ledger(run) as ledger:
            ledger.append(end(trial_id))
    assert run.child("ledger").names()[1:] == ["000001.jsonl", "000002.jsonl", "000003.jsonl"]
    assert ids(run) == ["a", "b", "c"]


def test_a_session_without_rows_leaves_no_segment(run: Storage) -> None:
    Ledger(run).close()
    assert run.child("ledger").names() == ["000000.jsonl"]


def test_a_torn_last_line_of_each_segment_is_left_out(run: Storage) -> None:
    for trial_id in "ab":
        with Ledger(run) as ledger:
            ledger.append(end(trial_id))
    for name in run.child("ledger").names():
        with Path(run.full(f"ledger/{name}")).open("ab") as segment:
            segment.write(b'{"kind":"end","trial_id":"to')
    with Ledger(run) as ledger:
        ledger.append(end("c"))
    assert ids(run) == ["a", "b", "c"]


def test_a_broken_line_that_is_not_the_last_is_an_error_that_names_it(run: Storage) -> None:
    run.write("ledger/000001.jsonl", b'{"kind":"end","trial_id":"a","status":"complete"}\n{"kind":\n')
    with pytest.raises(InputError, match=r"000001\.jsonl, line 2"):
        list(read_ledger(run))


def test_a_second_driver_is_refused_and_told_who_the_first_is(run: Storage) -> None:
    with Ledger(run):
        assert is_in_use(run)
        with pytest.raises(RunInUse, match=f"in use by process {os.getpid()} on "):
            Ledger(run)
    assert not is_in_use(run)
    Ledger(run).close()


def test_a_driver_that_is_killed_loses_no_row_and_leaves_no_lock(run: Storage) -> None:
    program = (
        "import os, signal, sys\n"
        "from cktf.rows import EndRow\n"
        "from cktf.run.ledger import Ledger\n"
        "from cktf.storage import Storage\n"
        "ledger = Ledger(Storage(sys.argv[1]))\n"
        "for number in range(100):\n"
        "    ledger.append(EndRow(trial_id=str(number), status='complete'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, run.root], check=False).returncode == -9
    assert ids(run) == [str(number) for number in range(100)]
    Ledger(run).close()


@pytest.fixture
def bucket(tmp_path: Path) -> Storage:
    """A storage that is not local, as a bucket is not: nothing in it is appended to or locked."""
    storage = Storage(tmp_path / "bucket")
    begin(storage)
    storage.filesystem = fs.SubTreeFileSystem("/", fs.LocalFileSystem())
    storage.is_local = False
    for folder in ("ledger", "drivers"):  # which a bucket needs not
        storage.filesystem.create_dir(storage.full(folder), recursive=True)
    storage.child = partial(_child, storage)  # type: ignore[method-assign]
    return storage


def _child(storage: Storage, name: str) -> Storage:
    child = Storage(f"{storage.root}/{name}")
    child.filesystem, child.is_local = storage.filesystem, False
    return child


def epoch(trial_id: str, number: int, make_result: MakeResult) -> EpochRow:
    return EpochRow(trial_id=trial_id, **vars(make_result(number, 50.0)))


def test_in_a_bucket_epochs_wait_and_ends_do_not(bucket: Storage, make_result: MakeResult) -> None:
    ledger = Ledger(bucket)
    ledger.append(epoch("a", 1, make_result))
    ledger.append(epoch("a", 2, make_result))
    assert ids(bucket) == []
    ledger.append(end("a"))
    assert ids(bucket) == ["a", "a", "a"]
    (name,) = bucket.child("ledger").names()[1:]
    assert re.fullmatch(r"000001-[0-9a-f]{8}\.jsonl", name), "no other session's can be called so"
    ledger.append(epoch("b", 1, make_result))
    ledger.close()
    assert ids(bucket) == ["a", "a", "a", "b"]


def test_in_a_bucket_epochs_do_not_wait_long(
    bucket: Storage, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "FLUSH_SECONDS", 0.0)
    ledger = Ledger(bucket)
    ledger.append(epoch("a", 1, make_result))
    assert ids(bucket) == ["a"]


FULL = """
import resource, sys
from cktf.rows import EndRow
from cktf.run.ledger import Ledger
from cktf.storage import Storage

def end(trial_id):
    return EndRow(trial_id=trial_id, status="complete")

def fill(room):  # files may grow to this size, as on a disk that is full then
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

with Ledger(Storage(sys.argv[1])) as ledger:
    ledger.append(end("a"))
    size = len(end("a").to_json()) + 1
    for room in (size + 20, 0):  # a part of a line can be written, and nothing
        fill(room)
        try:
            ledger.append(end("lost"))
        except OSError as error:
            print("refused")
        fill(resource.RLIM_INFINITY)
    ledger.append(end("b"))
    ledger.append(end("c"))
"""


def test_a_full_disk_is_told_and_what_follows_stays_readable(run: Storage) -> None:
    command = [sys.executable, "-c", FULL, run.root]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.split() == ["refused", "refused"]
    assert Path(run.full("ledger/000001.jsonl")).read_bytes().count(b"{") == 2
    assert ids(run) == ["a", "b", "c"]


def test_files_that_are_no_segments_are_overlooked(run: Storage) -> None:
    run.write("ledger/notes.jsonl", b"to do\n")
    run.write("ledger/000001 (copy).jsonl", b"to do\n")
    with Ledger(run) as ledger:
        ledger.append(end("a"))
    assert ids(run) == ["a"]


@pytest.mark.parametrize("line", [b'{"kind":"end","trial_id":"a"}', b'{"kind":"planned"}', b"7", b"\xff"])
def test_a_line_that_is_no_whole_row_is_an_error_that_names_it(line: bytes, run: Storage) -> None:
    run.write("ledger/000001.jsonl", line + b"\n")
    with pytest.raises(InputError, match=r"000001\.jsonl, line 1"):
        list(read_ledger(run))


def test_a_wrong_value_in_an_epoch_before_the_last_is_refused_by_who_reads_them_all(
    run: Storage, make_result: MakeResult
) -> None:
    first, last = (epoch("a", number, make_result).to_json() for number in (1, 2))
    wrong = first.replace('"epoch":1', '"epoch":"one"')
    run.write("ledger/000001.jsonl", f"{wrong}\n{last}\n".encode())
    assert [row.epoch for row in read_latest(run) if isinstance(row, EpochRow)] == [2]
    with pytest.raises(InputError, match=r"000001\.jsonl, line 1: 'epoch' of a row of kind 'epoch' must be"):
        list(read_ledger(run))
    run.write("ledger/000001.jsonl", f"{last}\n{wrong}\n".encode())
    with pytest.raises(InputError, match=r"000001\.jsonl, line 2"):
        list(read_latest(run))


@pytest.mark.parametrize("name", ["stranger", "a"])
def test_a_row_before_those_that_it_needs_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    run = Storage(tmp_path / "run")
    if name == "stranger":
        begin(run)
    run.write("ledger/000001.jsonl", f"{end(name).to_json()}\n".encode())
    with pytest.raises(InputError, match=r"000001\.jsonl, line 1: a row of kind 'end' "):
        list(read_ledger(run))


def test_somebody_who_only_looks_does_not_keep_a_driver_out(run: Storage) -> None:
    Ledger(run).close()
    with Path(run.full("driver.lock")).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        leaves = threading.Timer(0.2, looking.close)
        leaves.start()
        Ledger(run).close()
        leaves.join()


def test_a_place_whose_name_is_too_long_is_told_once(tmp_path: Path) -> None:
    run = Storage(str(tmp_path / ("x" * 260)))
    with pytest.raises(InputError, match=r"ledger: File name too long$") as said:
        list(read_ledger(run))
    assert str(said.value).count("x" * 200) == 1


def test_a_file_system_without_locks_cannot_tell_who_is_at_work_and_takes_no_driver(
    run: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(run).close()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not is_in_use(run)
    with pytest.raises(InputError, match=r"driver\.lock cannot be locked: No locks available; the file system"):
        Ledger(run)
