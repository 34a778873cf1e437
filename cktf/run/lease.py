"""The lease of a run in a bucket, which has no locks: an object that the driver writes again every few seconds.

A driver begins only if it sees no other lease after it has written its own: of two that begin at the same time, at
least one sees the other. A lease that is not written again for `LEASE_SECONDS`, while another driver watches it, is a
dead driver's.
"""

import logging
import os
import platform
import random
import secrets
import threading
import time
from contextlib import suppress

from cktf.errors import RunInUse, visible
from cktf.storage import Storage

FOLDER = "drivers"

LEASE_SECONDS = 60.0
"""Time after which a lease that was not written again is a dead driver's."""

BEAT_SECONDS = 10.0
"""Time between two writes of a lease."""

LONG_AGO = 1000.0
"""Age in seconds above which a lease is dead, even if clocks differ: a store refuses requests of clocks so far off."""

TRIES = 5
"""Number of times that a driver makes way for another that begins at the same time."""

_log = logging.getLogger(__name__)


def has_lease(run: Storage) -> bool:
    """Return whether a driver has renewed its lease of a run in the last `LEASE_SECONDS`."""
    return any(time.time() - written < LEASE_SECONDS for written in run.child(FOLDER).times().values())


class Lease:
    """A driver's lease of a run, from here until `release`.

    Raises:
        RunInUse: If another driver has one and writes it again.
        StorageTrouble: If it cannot be written.
    """

    def __init__(self, run: Storage) -> None:
        self._run = run.root
        place = run.child(FOLDER)  # with the run's patience: to wait for a dead driver takes a minute
        self._place = Storage(place.root)  # without patience: the next beat is the next try
        self._name = f"{secrets.token_hex(8)}.json"
        self._holder = holder_of_this()
        self._is_over = threading.Event()
        self._is_lost = False
        for _ in range(TRIES):
            dead = self._wait_for_others(place)
            # Where nobody was waited for it is the first write: that of a bucket that is not there is told at once.
            (place if dead else self._place).write(self._name, self._holder)
            others = self._others(place)
            if others.items() <= dead.items():
                place.delete(*dead)
                break
            place.delete(self._name)
            time.sleep(random.uniform(0.1, 0.3) * BEAT_SECONDS)  # noqa: S311
        else:
            self._refuse(next(iter(others)))
        self._dead = {*dead}
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Raise a `RunInUse` if another driver has taken over, because this one was silent for too long."""
        if self._is_lost:
            raise RunInUse(
                f"{self._run}: another driver has taken over, because this one could not write its lease for "
                f"{LEASE_SECONDS:.0f} s; nothing is lost"
            )

    def release(self) -> None:
        """Delete the lease."""
        self._is_over.set()
        self._thread.join()
        with suppress(OSError):  # the lease expires by itself
            self._place.delete(self._name)

    def _beat(self) -> None:
        before: dict[str, float] = {}
        while not self._is_over.wait(BEAT_SECONDS):
            with suppress(OSError):
                if not self._place.exists(self._name):
                    self._is_lost = True
                    return
                self._place.write(self._name, self._holder)
                # A driver that took over may have deleted the lease just before that; it then renews its own.
                others = self._others(self._place)
                if any(others[name] > before.get(name, others[name]) for name in others.keys() - self._dead):
                    self._is_lost = True
                    return
                before = others

    def _others(self, place: Storage) -> dict[str, float]:
        return {name: written for name, written in place.times().items() if name != self._name}

    def _wait_for_others(self, place: Storage) -> dict[str, float]:
        """Return the leases of dead drivers; refuse to go on if one is written again while it is watched."""
        first: dict[str, float] = {}
        seen: dict[str, float] = {}  # by this machine's clock
        asked = time.monotonic()
        while others := self._others(place):
            now = time.monotonic()
            seen = {name: at + now - asked for name, at in seen.items()}  # while the store was silent, no time passes
            for name, written in others.items():
                if written > first.setdefault(name, written):
                    self._refuse(name)
                seen.setdefault(name, now - LEASE_SECONDS if time.time() - written > LONG_AGO else now)
            left = LEASE_SECONDS - min(now - seen[name] for name in others)
            if left <= 0:
                break
            if now in seen.values():
                _log.warning("%s: another driver has a lease of it; waiting whether it writes it again", self._run)
            time.sleep(min(1.0, BEAT_SECONDS / 2, left))
            asked = time.monotonic()
        return others

    def _refuse(self, name: str) -> None:
        holder = None
        with suppress(OSError):
            holder = self._place.read(name)
        raise in_use(self._run, holder)


def holder_of_this() -> bytes:
    """Return the description of this process that a driver writes into its lock or lease."""
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {platform.node()}, started {started}".encode()


def in_use(run: str, holder: bytes | None) -> RunInUse:
    """Return the exception for a run that another driver holds; ``holder`` is that driver's `holder_of_this`."""
    who = (holder or b"").decode(errors="replace") or "another process"
    return RunInUse(f"{run} is in use by {visible(who)}; wait until it has ended, or end it")
