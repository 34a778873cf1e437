"""What single cells of foreign results say."""

import math

import pytest

from analysis.statistics.cells import has_address, number, status_in, tidy_level, whole_number
from cktf.rows import Status


@pytest.mark.parametrize(
    ("level", "cut"),
    [
        ("<function loss at 0x7f32a8>", "<function loss>"),
        ("<function <lambda> at 0x000001F2A3B4C5D0>", "<function <lambda>>"),
        ("<__main__.A object at 0x7f>", "<__main__.A object>"),
        ("<bound method A.f of <__main__.A object at 0x7f>>", "<bound method A.f of <__main__.A object>>"),
        (["functools.partial(<function f at 0x7f>, 3)", 1], ["functools.partial(<function f>, 3)", 1]),
    ],
)
def test_addresses_are_cut_off_names(level: object, cut: object) -> None:
    assert has_address(level)
    assert tidy_level(level) == cut
    assert not has_address(cut)


def test_numbers_are_those_of_a_table_not_of_python() -> None:
    assert [number(cell) for cell in ("70", "-.5", "5.", "+1e3")] == [70, -0.5, 5, 1000]
    assert [number(cell) for cell in ("inf", "-Infinity", "1e400")] == [math.inf, -math.inf, math.inf]
    assert all(math.isnan(number(cell) or 0) for cell in ("", "NaN", "n/a", "\u2013"))
    assert {number(cell) for cell in ("1_0", "0x1F", "1,5", "\u0663", "1 0", "70%", "1e1_0", "e3")} == {None}


def test_whole_numbers_are_read_as_spreadsheets_write_them_too() -> None:
    assert [whole_number(cell) for cell in ("0", "3.0", "-1", "7.", "9007199254740993.0")] == [
        *(0, 3, -1, 7, 9007199254740993)
    ]
    assert whole_number("0" * 5000 + "7") == 7
    assert [whole_number(str(end)) for end in (2**63 - 1, -(2**63))] == [2**63 - 1, -(2**63)]
    assert {whole_number(cell) for cell in ("9" * 5000, str(2**63), "1_0", "0.5", "1e3", "\u0663", "s0", "")} == {None}


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        (
            ("failed", "FAILURE", "error", "Crashed", "killed", "pruned", "timeout", "timed_out", "Timed out"),
            Status.FAILED,
        ),
        (("TrialState.FAIL", "trialFailed", "completed with errors", "OOM", "early_stopped"), Status.FAILED),
        (("running", "PENDING", "not completed", "unfinished"), Status.RUNNING),
        (("", "nan", "complete", "COMPLETED", "finished", "ok", "no error", "0 errors"), Status.COMPLETE),
        (("CA", "137", "x"), None),
    ],
)
def test_words_say_how_a_trial_ended(cells: tuple[str, ...], status: Status | None) -> None:
    assert {cell: status_in(cell) for cell in cells} == dict.fromkeys(cells, status)


def test_a_long_cell_takes_no_longer_than_its_length() -> None:
    assert number("9" * 100_000 + "x") is None
    assert number("9" * 5000) == math.inf
    assert whole_number("9" * 100_000 + "x") is None
