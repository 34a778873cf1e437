"""Lines of a ledger in order: what contradicts the rows before it, and the last line of a segment."""

from dataclasses import replace

import pytest

from cktf.ledger_lines import RowReader, whole_lines
from cktf.rows import EndRow, Status
from tests.test_rows import EPOCH, PLANNED, STUDY


def test_rows_that_come_before_those_that_they_need_are_refused_with_their_place() -> None:
    end = EndRow(trial_id="t", status=Status.COMPLETE)
    for row in (PLANNED, EPOCH, end):
        with pytest.raises(ValueError, match=f"^1: a row of kind '{row.kind}' stands before the first study row"):
            RowReader().read(row.to_json(), "1")
    for row in (EPOCH, end):
        reader = RowReader()
        reader.read(STUDY.to_json(), "1")
        with pytest.raises(ValueError, match=f"^2: a row of kind '{row.kind}' tells of trial 't', which no row before"):
            reader.read(row.to_json(), "2")
        assert reader.read(PLANNED.to_json(), "3") == PLANNED
        assert reader.read(row.to_json(), "4") == row


def test_a_plan_that_contradicts_one_before_it_is_refused() -> None:
    reader = RowReader()
    for row in (STUDY, PLANNED, PLANNED, replace(PLANNED, trial_id="u", seed=1)):  # a failed trial is planned again
        reader.read(row.to_json(), "1")
    with pytest.raises(ValueError, match=r"^2: plans trial 't' anew, with another arm_id or seed than before"):
        reader.read(replace(PLANNED, seed=2).to_json(), "2")
    with pytest.raises(ValueError, match=r"^3: plans trial 'v' with the arm_id and the seed 1 of trial 'u'"):
        reader.read(replace(PLANNED, trial_id="v", seed=1).to_json(), "3")


def test_an_arm_has_a_trial_with_each_teacher_at_a_seed() -> None:
    reader = RowReader()
    for row in (STUDY, *(replace(PLANNED, trial_id=f"u{teacher}", teacher_id=teacher) for teacher in "ab")):
        assert reader.read(row.to_json(), "1") == row
    with pytest.raises(ValueError, match=r"^2: plans trial 'v' with the arm_id and the seed 0 of trial 'ub'"):
        reader.read(replace(PLANNED, trial_id="v", teacher_id="b").to_json(), "2")


def test_the_last_line_of_a_segment_is_whole_where_it_is_a_row() -> None:
    line = PLANNED.to_json().encode()
    assert [*whole_lines(line + b"\n" + line)] == [line, line]
    assert [*whole_lines(line + b"\n" + line[:-1])] == [line]
    assert [*whole_lines(line + b"\n")] == [line]
    assert not [*whole_lines(b"")]
