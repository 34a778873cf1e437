"""The trials of teachers in a ledger: their students' tables are as if there were none."""

import re
from pathlib import Path

import pytest

from analysis.ledger.collect import ledger_tables
from cktf.errors import InputError
from cktf.rows import EndRow, Stage
from tests.analysis.ledgers import LedgerWriter, study_row


def write(run: Path, *, with_teachers: bool, students: int = 2) -> Path:
    ledger = LedgerWriter(run)
    ledger.add(study_row(run="run"))
    teachers = [ledger.plan("resnet8 on digits", seed, stage=Stage.TEACHER) for seed in (0, 1) if with_teachers]
    ledger.planned = 0
    planned = [ledger.plan("baseline", seed, teacher_id="t") for seed in range(students)]
    for teacher in teachers[:1]:
        ledger.train(teacher, 99.0)
        ledger.lines = [re.sub(r'"terms":{[^}]*}', '"terms":{}', line) for line in ledger.lines]  # as planners do
    for teacher in teachers[1:]:
        ledger.add(EndRow(trial_id=teacher, status="failed", reason="the loss is nan"))
    for student in planned:
        ledger.train(student, 90.0)
    return ledger.close()


@pytest.mark.parametrize("students", [2, 0])
def test_they_are_in_none_of_the_tables_of_students(tmp_path: Path, students: int) -> None:
    without, found = (
        ledger_tables(write(tmp_path / str(number), with_teachers=bool(number), students=students))
        for number in range(2)
    )
    for one, other in zip(without, found, strict=True):
        assert one.equals(other)
    assert found[0].num_rows == students


def test_epochs_of_a_teacher_that_no_row_has_planned_are_refused(tmp_path: Path) -> None:
    ledger = LedgerWriter(tmp_path / "run")
    ledger.add(study_row())
    ledger.plan("baseline", 0)
    ledger.train("nobody", 90.0)
    ledger.close_segment()
    with pytest.raises(InputError, match=r"trial '?nobody'?"):
        ledger_tables(tmp_path / "run")
