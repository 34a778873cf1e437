"""The table of epochs: a folder of Parquet files, each with the rows of some consecutive trials.

Which file a row belongs to follows from its trial alone, so files can be written one by one, on any machine.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.ledger.columns import SCHEMA_METADATA, parquet_bytes, repeated, timestamps
from analysis.ledger.lines import EPOCH_SCHEMA
from analysis.ledger.pieces import PLACE, Ledger
from cktf.rows import MEASURE
from cktf.storage import open_folder, write

FOLDER = "epochs.parquet"

TRIALS_PER_PART = 256
"""Trials whose rows share a file: with 100 epochs each, a file of some 4 MB."""

TRIAL, PART = "trial", "part"
"""Columns of rows on their way: position of their trial in the order of planning, and number of their file."""

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
"""Columns of a trial's last epoch that stand in the table of trials too."""

CORRECT = "test_correct"
"""Column of trials alone: which test images are right, see `cktf.rows.EpochResult`."""

FINAL_SCHEMA = pa.schema(
    [
        *((TRIAL, pa.int64()), ("epoch", pa.int64()), (CORRECT, pa.string())),
        *((name, pa.float64()) for name in FINAL_METRICS),
    ]
)
"""Schema of trials' last epochs, before the columns of measures."""

IDENTITY = ("trial_id", "context", "arm", "arm_id", "seed", "stage")
"""What every row says of its trial."""


@dataclass(frozen=True)
class EpochTable:
    """What the rows of all epochs have in common.

    Attributes:
        study: Name of the study.
        run: Name of the run directory.
        trials: `IDENTITY` of every trial, in the order of planning.
        terms: Columns of objectives' terms, of health and of measures, sorted.
        trials_per_part: Trials whose rows share a file.
    """

    study: str
    run: str
    trials: pa.Table
    terms: list[str]
    trials_per_part: int

    @classmethod
    def of(cls, ledger: Ledger, terms: set[str]) -> "EpochTable":
        """Return what the trials of a ledger have in common."""
        planned = [ledger.planned[trial_id] for trial_id in ledger.trial_ids]
        types = {"seed": pa.int64()}
        trials = {
            name: pa.array([getattr(row, name) for row in planned], types.get(name, pa.string())) for name in IDENTITY
        }
        last = ledger.launches[-1]
        asked = (last.metric, last.report_metric, *(MEASURE + name for row in ledger.launches for name in row.measures))
        terms = terms | {name for name in asked if name.startswith(MEASURE)}  # before anything has been measured, too
        return cls(last.study, last.run, pa.table(trials), sorted(terms), TRIALS_PER_PART)

    @property
    def final_schema(self) -> pa.Schema:
        """Schema of trials' last epochs."""
        measures = [(name, pa.float64()) for name in self.terms if name.startswith(MEASURE)]
        return pa.schema([*FINAL_SCHEMA, *measures])

    def numbered(self, rows: pa.Table) -> pa.Table:
        """Return epoch rows of students with `TRIAL` and `PART` instead of their trial's name; those of teachers go."""
        trial = pc.index_in(rows["trial_id"], value_set=self.trials["trial_id"].combine_chunks())
        rows = rows.drop_columns("trial_id").append_column(TRIAL, trial.cast(pa.int64()))
        rows = rows.filter(rows[TRIAL].is_valid())
        return rows.append_column(PART, pc.divide(rows[TRIAL], self.trials_per_part))

    def part(self, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return the rows of one file, sorted, the last one of every (trial, epoch), and its trials' last epochs.

        Args:
            rows: All `numbered` rows of its trials, in any order.
        """
        table = self._with_equal_columns(rows)
        trial, epoch, place = (table[name].to_numpy() for name in (TRIAL, "epoch", PLACE))
        order = np.lexsort((place, epoch, trial))
        trial, epoch = trial[order], epoch[order]
        is_last = np.append((trial[1:] != trial[:-1]) | (epoch[1:] != epoch[:-1]), True)[: len(order)]
        table, trial = table.take(order[is_last]), trial[is_last]
        is_final = np.append(trial[1:] != trial[:-1], True)[: len(trial)]
        final = table.filter(pa.array(is_final)).select(self.final_schema.names).cast(self.final_schema)
        return self._with_identity(table, pa.array(trial)), final

    def _with_equal_columns(self, rows: pa.Table) -> pa.Table:
        """Return rows with the columns of all, those of absent terms null."""
        names = [name for name in EPOCH_SCHEMA.names if name not in ("trial_id", "time")]
        absent = pa.nulls(rows.num_rows, pa.float64())
        columns = {name: rows[name] for name in names}
        columns |= {name: rows[name] if name in rows.column_names else absent for name in self.terms}
        time = timestamps(rows["time"].to_numpy())
        return pa.table(columns | {"time": time, TRIAL: rows[TRIAL], PLACE: rows[PLACE]})

    def _with_identity(self, table: pa.Table, trial: pa.Array) -> pa.Table:
        first = pc.min(trial).as_py() or 0
        trials, index = self.trials.slice(first, self.trials_per_part), pc.subtract(trial, first)
        names = {name: repeated(trials[name].to_pylist(), index) for name in IDENTITY if name != "seed"}
        nothing = pa.array(np.zeros(table.num_rows, np.int64))
        columns = {
            "study": repeated([self.study], nothing),
            "run": repeated([self.run], nothing),
            **{name: names[name] for name in ("trial_id", "context", "arm", "arm_id")},
            "seed": trials["seed"].combine_chunks().take(index),
            "stage": names["stage"],
            "epoch": table["epoch"],
            "phase": table["phase"].combine_chunks().dictionary_encode(),
        }
        columns |= {name: table[name] for name in table.column_names if name not in columns}
        return pa.table(columns).drop_columns([TRIAL, PLACE, CORRECT]).replace_schema_metadata(SCHEMA_METADATA)


def write_part(place: str, common: EpochTable, number: int, rows: pa.Table) -> pa.Table:
    """Write one file of the table of epochs, of all its rows, and return its trials' last epochs, with `PART`."""
    table, final = common.part(rows)
    write(open_folder(place), part_name(number), parquet_bytes(table))
    return final.append_column(PART, pa.array(np.full(final.num_rows, number)))


def part_name(number: int) -> str:
    """Return the name of one file of the table of epochs, within the report directory."""
    return f"{FOLDER}/part-{number:05d}.parquet"
