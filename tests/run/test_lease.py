"""Two drivers of one run in a bucket: a real S3 server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cktf.errors import RunInUse
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
