"""Signals that end a driver, each handled like Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Sent by a scheduler at the end, by a closed terminal, and by schedulers some time before the end."""


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Handle the signals like Ctrl-C; those that are ignored, as under ``nohup``, stay ignored."""
    with ExitStack() as stack:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                stack.enter_context(_handling(number, signal.default_int_handler))
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """Delay Ctrl-C and the other signals while processes are started.

    Python drops exceptions that are raised during a fork.
    """
    heard = threading.Event()
    try:
        with ExitStack() as stack:
            for number in (signal.SIGINT, *ENDING):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    stack.enter_context(_handling(number, lambda *_: heard.set()))
            yield
    finally:
        if heard.is_set():
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _handling(number: signal.Signals, handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only it receives signals
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        if before is not None:  # the handler was not set by Python
            signal.signal(number, before)
