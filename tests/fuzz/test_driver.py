"""What the driver of generated inputs takes for a fault."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from cktf.errors import UserError
from tests.fuzz import driver
from tests.fuzz.driver import Case, outcome


def raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


def grow() -> None:
    assert len(bytearray(4 * driver.MOST_BYTES))


def work() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        (lambda: None, ""),
        (raising(UserError("here: is wrong")), ""),
        (raising(UserError("it is wrong")), "names none of here"),
        (raising(ValueError("here")), "ValueError: here"),
        (raising(SystemExit(2)), "SystemExit: 2"),
        (grow, "MemoryError"),
        (work, "TookTooLong: SIGPROF"),
        (lambda: time.sleep(60), "TookTooLong: SIGALRM"),
    ],
)
def test_a_fault_is_whatever_is_neither_valid_nor_one_message(
    run: Callable[[], None], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "MOST_SECONDS", 0.2)
    monkeypatch.setattr(driver, "MOST_WAITED", 0.4 if fault.endswith("SIGALRM") else 30.0)
    found = outcome("x", lambda *_: Case("a case", run, ("here",)), 0, 0)
    assert fault in found.fault
    assert bool(fault) == bool(found.fault)
    assert found.is_valid == (not found.fault and not found.message)


def test_the_same_numbers_make_the_same_case() -> None:
    drawn = []

    def kind(draws: Random, _: Path) -> Case:
        drawn.append(draws.random())
        return Case("", lambda: None, ())

    for seed, number in ((1, 2), (1, 2), (2, 1)):
        outcome("x", kind, seed, number)
    assert drawn[0] == drawn[1] != drawn[2]
