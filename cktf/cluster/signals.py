"""Signals that end a driver, each handled like Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a scheduler sends at the end, a closed terminal, and schedulers some time before the end."""


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Handle the signals like Ctrl-C; those that are ignored, as under ``nohup``, stay ignored."""
    with _handling(ENDING, signal.default_int_handler):
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """Delay Ctrl-C and the other signals while processes are started.

    Python drops exceptions that are raised during a fork.
    """
    heard = threading.Event()
    try:
        with _handling((signal.SIGINT, *ENDING), lambda *_: heard.set()):
            yield
    finally:
        if heard.is_set():
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _handling(numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Handle those signals that are not ignored; handlers that Python has not set are not put back."""
    if threading.current_thread() is not threading.main_thread():  # only it receives signals
        yield
        return
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, old in before.items():
            if old is not None:
                signal.signal(number, old)
