"""Two drivers of one run in a bucket: a real S3 server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cktf.errors import RunInUse, StorageTrouble
from cktf.rows import EndRow, Status
from cktf.run import lease as lease_module
from cktf.run.lease import Lease, has_lease
from cktf.run.ledger import Ledger, is_in_use, read_ledger
from cktf.storage import Storage
from tests.buckets import Proxy
from tests.run.test_ledger import begin


@pytest.fixture
def run(proxy: Proxy, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 1.1)  # a store's clock has seconds
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 6.0)
    return Storage(proxy.uri(request.node.name))


def stopped(lease: Lease) -> None:
    """Let a lease's driver be silent, as one that was stopped or killed."""
    lease._is_over.set()
    lease._thread.join()


def test_a_second_driver_is_refused_and_told_who_the_first_is(run: Storage) -> None:
    begin(run)
    with Ledger(run):
        assert is_in_use(run)
        with pytest.raises(RunInUse, match=r"in use by process \d+ on .*, started 2"):
            Ledger(run)
    assert not is_in_use(run)
    Ledger(run).close()


def test_a_dead_driver_s_run_is_taken_over_and_no_row_of_either_is_lost(run: Storage) -> None:
    begin(run)
    first = Ledger(run)
    assert isinstance(first._lock, Lease)
    stopped(first._lock)
    first.append(EndRow(trial_id="a", status=Status.COMPLETE))
    with Ledger(run) as second:
        second.append(EndRow(trial_id="b", status=Status.COMPLETE))
        first.append(EndRow(trial_id="c", status=Status.COMPLETE))  # it does not know yet
        second.append(EndRow(trial_id="lost", status=Status.COMPLETE))
        rows = [row.trial_id for row in read_ledger(run) if isinstance(row, EndRow)]
        assert sorted(rows) == ["a", "b", "c", "lost"]
        assert len(run.child("drivers").names()) == 1


def test_a_driver_that_was_silent_for_too_long_learns_that_another_has_taken_over(run: Storage) -> None:
    lease = Lease(run)
    lease.require()
    run.child("drivers").delete(*run.child("drivers").names())  # as the other one does
    lease._thread.join(20)
    with pytest.raises(RunInUse, match="another driver has taken over"):
        lease.require()


def test_of_drivers_that_begin_at_the_same_time_one_at_most_has_the_run(run: Storage) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def start(_: int) -> bool:
        nonlocal at_once, most
        try:
            lease = Lease(run)
        except RunInUse:
            return False
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(3)
        with lock:
            at_once -= 1
        lease.release()
        return True

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    assert most <= 1


def test_a_lease_is_seen(run: Storage) -> None:
    assert not has_lease(run)
    lease = Lease(run)
    assert has_lease(run)
    lease.release()
    assert not has_lease(run)


def test_a_store_that_fails_while_a_dead_driver_is_waited_for_is_waited_for_too(run: Storage, proxy: Proxy) -> None:
    stopped(Lease(run))
    with proxy.failing(lambda *_: 403, seconds=3.0):
        lease = Lease(Storage(run.root, patience=60.0))
    lease.require()
    lease.release()


def test_a_bucket_that_is_not_there_is_told_at_once(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StorageTrouble, match="NO_SUCH_BUCKET"):
        Lease(Storage(proxy.uri("run").replace("bucket", "absent", 1), patience=2.0))
    assert "trying again" not in caplog.text


def test_a_lease_that_is_written_again_after_another_driver_has_taken_over_is_lost(run: Storage) -> None:
    first = Lease(run)
    stopped(first)
    second = Lease(run)
    first._place.write(first._name, first._holder)  # between its look and this it was stopped for long
    first._is_over.clear()
    first._thread = threading.Thread(target=first._beat, daemon=True)
    first._thread.start()
    first._thread.join(20)
    with pytest.raises(RunInUse, match="another driver has taken over"):
        first.require()
    second.require()
    first.release()
    time.sleep(3 * lease_module.BEAT_SECONDS)
    second.require()
    second.release()


def test_the_time_in_which_a_store_does_not_answer_is_no_silence_of_another_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 1.0)
    looks, now = [0, 0, 0, 1], time.time()

    def others(*_: object) -> dict[str, float]:
        time.sleep(1.5 * (len(looks) == 3))  # at the second look
        return {"other.json": now + looks.pop(0)}

    monkeypatch.setattr(Lease, "_others", others)
    with pytest.raises(RunInUse):
        Lease(Storage(tmp_path))
