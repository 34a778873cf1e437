"""Runs generated inputs: each must be valid, or refused by one message that names the place."""

import os
import resource
import signal
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import FrameType

from cktf.errors import UserError

MOST_SECONDS = 5.0
"""Of processor time that one case may take, so that a busy machine decides nothing."""

MOST_WAITED = 30.0
"""Seconds that one case may take by the clock: what waits for ever uses no processor."""

MOST_BYTES = 2**30
"""By which one case may grow the process."""

LONGEST_LINE = 2003
"""Characters of one line of a message; more is a value that nobody has cut."""


@dataclass(frozen=True)
class Case:
    """One generated input.

    Attributes:
        words: What was done to what.
        run: Uses the input as a command would; raises a `UserError` where it is refused.
        places: One of these stands in the message that refuses it: names of files, options or settings.
    """

    words: str
    run: Callable[[], object]
    places: tuple[str, ...]


Kind = Callable[[Random, Path], Case]
"""Makes a case from a generator and an empty folder."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        is_valid: Whether the input was used.
        fault: What was wrong with how it was handled; empty where nothing was.
        message: Of the refusal; empty where it was not refused.
        words: The case's own.
        seconds: That it took, by the clock.
    """

    is_valid: bool
    fault: str
    message: str
    words: str
    seconds: float


class TookTooLong(BaseException):
    """A case went beyond its time; no code under test catches this by mistake."""


def outcome(name: str, kind: Kind, seed: int, number: int) -> Outcome:
    """Run one case of a kind, the same one for the same name, seed and number, and return what became of it."""
    message = fault = ""
    with TemporaryDirectory(prefix="cktf-fuzz-") as folder:
        case = kind(Random(f"{name} {seed} {number}"), Path(folder).resolve())  # noqa: S311  # no secret
        began = time.monotonic()
        try:
            with _limited():
                case.run()
        except KeyboardInterrupt:
            raise
        except UserError as error:
            message = str(error)
            fault = _complaint(message, case.places)
        except BaseException:  # a fault of any kind is what is looked for, panics of compiled code among them
            fault = traceback.format_exc()
        seconds = time.monotonic() - began
        _let_go(Path(folder))
    return Outcome(not (message or fault), fault, message, case.words, seconds)


def _complaint(message: str, places: tuple[str, ...]) -> str:
    """Return what is wrong with a message; empty where nothing is."""
    odd = {char for char in message if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    if odd:
        return f"shows {', '.join(map(ascii, sorted(odd)))} as they are: {message!a}"
    if not any(place in message for place in places):
        return f"names none of {', '.join(places)}: {message}"
    if (longest := max(map(len, message.split("\n")))) > LONGEST_LINE:
        return f"has a line of {longest} characters: {message[:LONGEST_LINE]}"
    if "Traceback" in message:
        return f"shows a traceback: {message}"
    return ""


def _let_go(folder: Path) -> None:
    """End the waiting of threads that still read a pipe of a case."""
    for path in folder.rglob("*"):
        if path.is_fifo():
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


@contextmanager
def _limited() -> Iterator[None]:
    """Raise where what happens inside takes too much time or memory."""
    handlers = {number: signal.signal(number, _stop) for number in (signal.SIGPROF, signal.SIGALRM)}
    # Again and again, for what is being left may wait too, as a pool does for its threads.
    outer = signal.setitimer(signal.ITIMER_REAL, MOST_WAITED, 1.0)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS, 1.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if (used := _bytes_used()) is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (used + MOST_BYTES, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, *outer)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise TookTooLong(f"{signal.Signals(number).name}: at {frame.f_code.co_filename if frame else ''}")


def _bytes_used() -> int | None:
    """Return the bytes of data that this process has; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:")), None)
