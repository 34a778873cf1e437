"""The table of epochs, and the last one of each trial."""

from dataclasses import replace

import pyarrow as pa

from analysis.ledger.epochs import epochs_table
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
    return Ledger([asked], planned=planned)


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
    found = rows(("t2", 1, 5.0), ("t0", 2, 1.0), ("teacher", 1, 9.0), ("t0", 1, 2.0), ("t2", 1, 3.0))
    table, final = epochs_table(ledger(3), found)
    assert told(table) == [("t0", 1, 2.0), ("t0", 2, 1.0), ("t2", 1, 3.0)]
    assert table["seed"].to_pylist() == [0, 0, 2]
    assert final["epoch"].to_pylist() == [2, None, 1]
    assert final["train_loss"].to_pylist() == [1.0, None, 3.0]


def test_measures_that_are_asked_for_have_a_column_before_they_are_measured() -> None:
    asked = ledger(1)
    asked.launches[0] = replace(asked.launches[0], metric="measure.validation_nll")
    table, final = epochs_table(asked, rows(("t0", 1, 2.0)))
    assert table["measure.validation_nll"].to_pylist() == final["measure.validation_nll"].to_pylist() == [None]
