"""Storage in a bucket that fails: a real S3 server behind a proxy."""

import logging
import time
from pathlib import Path

import pytest

from analysis.report.write import write_report
from cktf import storage
from cktf.errors import StorageTrouble
from cktf.run.progress import status
from cktf.storage import AT_ONCE, Storage, open_folder, write_all
from tests.analysis.ledgers import write_ablation
from tests.buckets import DROPPED, Proxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FIRST_PAUSE", 0.1)


def test_a_bucket_s_files_are_written_read_listed_and_deleted(proxy: Proxy) -> None:
    place = Storage(proxy.uri("plain"))
    place.write("a/b", b"one")
    place.write("a/b", b"two")
    place.write("c", b"")
    assert place.read("a/b") == b"two"
    assert place.read("none") is None
    assert place.exists("c")
    assert place.names() == ["c"]
    assert place.names(below=True) == ["a/b", "c"]
    assert abs(place.times()["c"] - time.time()) < 60
    place.set_aside("c", "for a test")
    assert place.names() == ["c.damaged"]
    place.delete("c.damaged", "none", "a/b")
    assert place.names(below=True) == []


def test_folders_are_deleted_in_batches_and_leave_no_object_behind(proxy: Proxy) -> None:
    place = Storage(proxy.uri("batches"))
    write_all(open_folder(place.root), {f"{n}/{name}": b"" for n in range(600) for name in ("checkpoint", "student")})
    listed = place.names(below=True)
    place.delete_listed({"0/checkpoint", "0/student", "1/checkpoint"}, listed)
    assert set(listed) - {*place.names(below=True)} == {"0/checkpoint", "0/student", "1/checkpoint"}
    assert len(place.folders()) == 599
    proxy.requests.clear()
    place.clear()
    assert len(proxy.requests) < 12, "of 1,197 files"
    assert place.names(below=True) == place.folders() == []
    place.clear()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("status", "seconds"), [(403, 0.5), (503, 7.0), (DROPPED, 7.0)])
def test_what_fails_for_a_while_is_tried_again_and_said(
    status: int, seconds: float, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    place = Storage(proxy.uri(f"fails{status}"), patience=60)
    with proxy.failing(lambda *_: status, seconds), caplog.at_level(logging.WARNING):
        place.write("x", b"1")
    assert place.read("x") == b"1"
    first, *_, last = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"bucket/fails{status}/x: ")
    assert "trying again, for up to 5" in first or "trying again, for up to 60 s" in first
    assert "answers again after" in last


@pytest.mark.usefixtures("quick")
def test_patience_ends_and_without_any_the_first_failure_is_told(proxy: Proxy) -> None:
    with proxy.failing(lambda *_: 403):
        began = time.monotonic()
        with pytest.raises(StorageTrouble, match=r"^bucket/away/x: .*ACCESS_DENIED"):
            Storage(proxy.uri("away"), patience=0.5).write("x", b"1")
        assert time.monotonic() - began >= 0.5
        before = len(proxy.requests)
        with pytest.raises(StorageTrouble):
            Storage(proxy.uri("away")).read("x")
        assert len(proxy.requests) == before + 1


def test_many_files_are_read_and_written_at_the_same_time_and_each_once(proxy: Proxy) -> None:
    place = Storage(proxy.uri("many"))
    files = {f"{number:03d}": str(number).encode() for number in range(50)}
    proxy.delay = 0.2
    write_all(open_folder(place.root), files)
    assert len(proxy.requests) == len(files)
    assert 2 < proxy.most <= AT_ONCE
    assert list(place.read_all(files)) == list(files.values())
    assert len(proxy.requests) == 3 * len(files), "a look at the size, and the content"
    assert proxy.most <= AT_ONCE


def test_many_files_are_deleted_at_the_same_time(proxy: Proxy) -> None:
    place = Storage(proxy.uri("emptied"))
    files = {f"trials/{number:03d}/student": b"weights" for number in range(60)}
    write_all(open_folder(place.root), files)
    proxy.requests.clear()
    proxy.delay, proxy.most = 0.1, 0
    place.delete(*files)
    assert 2 < proxy.most <= AT_ONCE
    assert len(proxy.requests) == 3 * len(files), "a look, the deletion, and the mark of its folder"
    assert place.names(below=True) == []


def test_status_and_a_report_read_segments_at_the_same_time_and_each_once(proxy: Proxy, tmp_path: Path) -> None:
    write_ablation(tmp_path).close_segment()
    (segment,) = (tmp_path / "ledger").iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    size = -(-len(lines) // 30)
    parts = [b"".join(lines[start : start + size]) for start in range(0, len(lines), size)]
    run = Storage(proxy.uri("run"))
    write_all(
        open_folder(run.root), {f"ledger/{number:06d}-0123abcd.jsonl": part for number, part in enumerate(parts, 1)}
    )
    proxy.requests.clear()
    proxy.delay, proxy.most = 0.1, 0
    status(run.root)
    assert len(proxy.requests) <= 2 * len(parts) + 5, "of each segment a look at its size and its content; two lists"
    assert 2 < proxy.most <= AT_ONCE
    proxy.requests.clear()
    proxy.delay, proxy.most = 0.01, 0
    write_report(run.root)
    written = sum(method == "PUT" for method, _ in proxy.requests)
    assert written > 30
    assert len(proxy.requests) <= 2 * len(parts) + written + 30, "a few lists, and the tables as the page reads them"
    assert 2 < proxy.most <= AT_ONCE
