"""The table of epochs, with the rows of all students, and the table of each trial's last epoch."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.ledger.columns import SCHEMA_METADATA, repeated, timestamps
from analysis.ledger.lines import EPOCH_SCHEMA, NAMED
from analysis.ledger.pieces import PLACE, Ledger
from cktf.epoch_result import MEASURE

EPOCHS_FILE = "epochs.parquet"

FINAL_METRICS = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "test_images",
    "peak_memory_gib",
)
"""Columns of a trial's last epoch that are also in the table of trials."""

CORRECT = "test_correct"
"""Column of the table of trials only: which test images are classified correctly (`cktf.epoch_result`)."""


def epochs_table(ledger: Ledger, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the table of epochs, and a table with each trial's last epoch, a row that is null if there is none.

    Trials are in the order of planning; of several rows of one epoch the last one holds. Teachers have no rows, nor
    have the former epochs of a withdrawn trial that begins anew. ``rows`` is the table `Parsed.epochs`, in any order.
    """
    trials = [ledger.planned[trial_id] for trial_id in ledger.trial_ids]
    index = pc.index_in(rows["trial_id"], value_set=pa.array(ledger.trial_ids, pa.string()))
    begun = pa.array([ledger.begun_anew.get(trial_id, 0) for trial_id in ledger.trial_ids], pa.int64())
    counts = pc.fill_null(pc.greater_equal(rows[PLACE], begun.take(index)), False)
    rows, trial = rows.filter(counts), index.filter(counts).to_numpy()
    epoch, place = rows["epoch"].to_numpy(), rows[PLACE].to_numpy()
    order = np.lexsort((place, epoch, trial))
    trial, epoch = trial[order], epoch[order]
    is_last = np.append((trial[1:] != trial[:-1]) | (epoch[1:] != epoch[:-1]), True)[: len(order)]
    rows, trial = rows.take(order[is_last]).combine_chunks(), trial[is_last]
    launch = ledger.launches[-1]
    # Measures that are asked for have a column before anything has been measured.
    asked = {*launch.directions, launch.report_metric}.union(
        MEASURE + name for row in ledger.launches for name in row.measures
    )
    terms = sorted(name for name in asked.union(rows.column_names) if name.startswith(tuple(NAMED.values())))
    for name in terms:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.float64()))

    def identity(name: str) -> pa.Array:
        return repeated([getattr(row, name) for row in trials], pa.array(trial))

    nothing = pa.array(np.zeros(len(trial), np.int64))
    columns = {
        "study": repeated([launch.study], nothing),
        "run": repeated([launch.run], nothing),
        **{name: identity(name) for name in ("trial_id", "context", "arm", "arm_id")},
        "seed": pa.array([row.seed for row in trials], pa.int64()).take(pa.array(trial)),
        "stage": identity("stage"),
        "epoch": rows["epoch"],
        "phase": rows["phase"].combine_chunks().dictionary_encode(),
    }
    others = [name for name in EPOCH_SCHEMA.names if name not in (*columns, CORRECT, "time")]
    columns |= {name: rows[name] for name in (*others, *terms)} | {"time": timestamps(rows["time"].to_numpy())}
    last = np.full(len(trials), -1)
    last[trial] = np.arange(len(trial))  # assigned in order, so the last epoch stays
    final = rows.select(["epoch", CORRECT, *FINAL_METRICS, *(name for name in terms if name.startswith(MEASURE))])
    table = pa.table(columns).replace_schema_metadata(SCHEMA_METADATA)
    return table, final.take(pa.array(last, mask=last < 0))
