"""The table of epochs, file by file."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis.ledger.epochs import PART, EpochTable, part_name, write_part
from analysis.ledger.lines import EPOCH_SCHEMA
from analysis.ledger.pieces import Ledger
from cktf.rows import PlannedRow, StudyRow


def ledger(count: int) -> Ledger:
    """Trials t0, t1, ..., planned in reverse."""
    asked = StudyRow(
        study="study",
        run="run",
        question="?",
        design="grid",
        metric="validation_accuracy",
        report_metric="test_accuracy",
        maximise=True,
        baseline_arm_id="arm",
        factors=[],
    )
    planned = {
        f"t{number}": PlannedRow(
            trial_id=f"t{number}",
            arm_id="arm",
            arm="baseline",
            seed=number,
            stage="design",
            number=number,
            params={},
            config={},
        )
        for number in reversed(range(count))
    }
    return Ledger([asked], planned)


def rows(*epochs: tuple[str, int, float]) -> pa.Table:
    """Rows of a ledger in its order: trial, epoch, training loss."""
    names, numbers, losses = zip(*epochs, strict=True)
    texts = ["train"] * len(epochs)
    given = {"test_correct": texts, "trial_id": names, "epoch": numbers, "train_loss": losses, "phase": texts}
    given |= {field.name: texts for field in EPOCH_SCHEMA if field.type == pa.string() and field.name not in given}
    zeros = [0.0] * len(epochs)
    columns = {field.name: pa.array(given.get(field.name, zeros), field.type) for field in EPOCH_SCHEMA}
    return pa.table(columns | {"place": pa.array(range(len(epochs)))})


def told(table: pa.Table) -> list[tuple[str, int, float]]:
    return [(row["trial_id"], row["epoch"], row["train_loss"]) for row in table.to_pylist()]


def test_of_rows_of_one_epoch_the_last_holds_and_trials_stand_in_the_order_of_planning() -> None:
    common = EpochTable.of(ledger(3), set())
    found = rows(("t2", 1, 5.0), ("t0", 2, 1.0), ("t0", 1, 2.0), ("t2", 1, 3.0))
    table, final = common.part(common.numbered(found))
    assert told(table) == [("t0", 1, 2.0), ("t0", 2, 1.0), ("t2", 1, 3.0)]
    assert table["seed"].to_pylist() == [0, 0, 2]
    assert final["trial"].to_pylist() == [0, 2]
    assert final["train_loss"].to_pylist() == [1.0, 3.0]


def test_a_file_holds_its_trials_and_columns_of_terms_that_none_of_them_has(tmp_path: Path) -> None:
    common = EpochTable.of(ledger(3), {"term.kd"})
    final = write_part(str(tmp_path), common, 0, common.numbered(rows(("t0", 1, 2.0), ("t1", 1, 4.0))))
    assert final["part"].to_pylist() == [0, 0]
    table = pyarrow.parquet.read_table(tmp_path / part_name(0))
    assert told(table) == [("t0", 1, 2.0), ("t1", 1, 4.0)]
    assert table["term.kd"].null_count == 2


def test_consecutive_trials_share_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.ledger.epochs.TRIALS_PER_PART", 2)
    common = EpochTable.of(ledger(5), set())
    found = common.numbered(rows(*((f"t{number}", 1, math.nan) for number in (4, 3, 2, 1, 0))))
    assert found[PART].to_pylist() == [2, 1, 1, 0, 0]
