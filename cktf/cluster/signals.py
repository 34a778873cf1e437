"""Signals by which people and machines end a driver, all of which end it as Ctrl-C does."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""A scheduler's end, a terminal that is closed, and what schedulers send some time before the end."""


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Take the signals as Ctrl-C; those that this process was started to ignore, as behind ``nohup``, stay ignored."""
    with ExitStack() as stack:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                stack.enter_context(_handling(number, signal.default_int_handler))
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C and its like back for the seconds in which processes are started, and let it be heard afterwards.

    Python drops what is raised within a fork.
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
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        if before is not None:  # it was not Python's
            signal.signal(number, before)
