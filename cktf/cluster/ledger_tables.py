"""A ledger's rows parsed and brought together on all machines of a Ray cluster, by Ray Data.

On one machine the analysis holds the epochs in memory. Here they stay in Ray's object store, which spills to disk,
until some machine takes all those of one part of the table and writes it. What is done with rows is handed over by the
analysis, of which nothing is imported here.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import ray
import ray.data

from cktf.errors import InputError

PLACE, LINE, PART = "place", "line", "part"
"""Columns of parsed rows: where in the ledger one stands; the text of one that is no epoch; the part of an epoch."""

OTHER_SCHEMA = pa.schema([(PLACE, pa.int64()), ("segment", pa.string()), (LINE, pa.binary())])
"""Of the rows that are no epochs."""

NAMED = ("term.", "health.")
"""Begin the names of the columns that only some epochs may have: an objective's term, or a number of health."""

BROKEN = "broken"
"""Column: why a piece could not be parsed. An exception would come back as Ray's own, with a traceback for a text."""

MAX_PARTITIONS = 200
"""Groups of parts that epochs are divided into on their way, as many as Ray Data's default. Each costs its time."""

Parse = Callable[[Any], Sequence[pa.Table]]
"""From a piece of the ledger, a named tuple, to a table of its epochs and one of its other rows."""


class RowsOnRay:
    """The rows of some pieces of a ledger, in the object store of the Ray that this process is connected to.

    Args:
        pieces: Which ones, in order; the run directory must be one that every machine reaches.
        parse: Reads and parses one.

    Attributes:
        others: The rows that are no epochs, in order.
        terms: The columns of objectives' terms, and of health, that any of the epochs has.
        first_epochs: Of each piece the first epoch of each trial: its ``trial_id`` and `PLACE`.

    Raises:
        ValueError: If a line is broken.
    """

    def __init__(self, pieces: Sequence[Any], parse: Parse) -> None:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        self._rows = None
        self.others, self.terms = OTHER_SCHEMA.empty_table(), set[str]()
        self.first_epochs = pa.table({"trial_id": pa.array([], pa.string()), PLACE: pa.array([], pa.int64())})
        if not pieces:
            return
        items = ray.data.from_items([piece._asdict() for piece in pieces], override_num_blocks=len(pieces))
        # Kept, since they are read three times: what is to be known of all of them comes before any is written.
        self._rows = items.map_batches(
            partial(_parsed, type(pieces[0]), parse), batch_size=1, batch_format="pyarrow"
        ).materialize()
        others = _gathered(self._rows, _others)
        if BROKEN in others.column_names:
            raise InputError(others[BROKEN].drop_null()[0].as_py())
        self.others = others.sort_by(PLACE)
        self.terms = set(_gathered(self._rows, _terms)["name"].to_pylist())
        self.first_epochs = _gathered(self._rows, _first_epochs)

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        """Bring the epochs of each part together on some machine, and return what ``write`` returns of each.

        Args:
            number: Adds the column `PART` to any of the epochs.
            write: Takes a part's number and all its epochs, in any order.
        """
        if self._rows is None or not self.first_epochs.num_rows:  # nothing is shuffled of empty blocks alone
            return []
        numbered = self._rows.map_batches(
            partial(_numbered, number, sorted(self.terms)), batch_size=None, batch_format="pyarrow"
        )
        partitions = min(self._rows.num_blocks(), MAX_PARTITIONS)
        parts = numbered.groupby(PART, num_partitions=partitions)
        return _tables(parts.map_groups(partial(_written, write), batch_format="pyarrow"))


def _parsed(piece: type, parse: Parse, batch: pa.Table) -> pa.Table:
    (values,) = batch.to_pylist()
    try:
        return pa.concat_tables(parse(piece(**values)), promote_options="default")
    except InputError as error:
        return pa.table({BROKEN: [str(error)]})


def _others(rows: pa.Table) -> pa.Table:
    if BROKEN in rows.column_names:
        return rows.select([BROKEN])
    return rows.filter(rows[LINE].is_valid()).select(OTHER_SCHEMA.names)


def _terms(rows: pa.Table) -> pa.Table:
    return pa.table({"name": pa.array([n for n in rows.column_names if n.startswith(NAMED)], pa.string())})


def _first_epochs(rows: pa.Table) -> pa.Table:
    epochs = rows.filter(rows[LINE].is_null())
    firsts = epochs.select(["trial_id", PLACE]).group_by("trial_id").aggregate([(PLACE, "min")])
    return firsts.rename_columns(["trial_id", PLACE])


def _numbered(number: Callable[[pa.Table], pa.Table], terms: list[str], rows: pa.Table) -> pa.Table:
    """Return the epochs of a block with the columns that all blocks have: Ray Data brings no others together."""
    epochs = rows.filter(rows[LINE].is_null()).drop_columns([n for n in OTHER_SCHEMA.names if n != PLACE])
    for name in terms:
        if name not in epochs.column_names:
            epochs = epochs.append_column(name, pa.nulls(epochs.num_rows, pa.float64()))
    return number(epochs.select([n for n in epochs.column_names if not n.startswith(NAMED)] + terms))


def _written(write: Callable[[int, pa.Table], pa.Table], rows: pa.Table) -> pa.Table:
    return write(rows[PART][0].as_py(), rows)


def _gathered(rows: ray.data.Dataset, select: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """Return what is selected of each block, as one table in this process."""
    selected = rows.map_batches(select, batch_size=None, batch_format="pyarrow")
    return pa.concat_tables(_tables(selected), promote_options="default")


def _tables(dataset: ray.data.Dataset) -> list[pa.Table]:
    tables: list[pa.Table] = ray.get(dataset.to_arrow_refs())
    return tables
