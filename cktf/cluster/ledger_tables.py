"""A ledger's rows parsed and grouped on all machines of a Ray cluster, by Ray Data.

`analysis.ledger.collect` holds the epochs in one process. Here the same pieces are parsed by many: the epochs stay in
Ray's object store, which spills to disk, until one machine takes all those of one part of the table and writes it.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
import ray
import ray.data

from analysis.ledger.epochs import PART
from analysis.ledger.lines import NAMED
from analysis.ledger.pieces import NO_EPOCHS, OTHER_SCHEMA, PLACE, Parsed, Piece
from cktf.errors import InputError

LINE = "line"
"""Column of `OTHER_SCHEMA` that epochs do not have."""

BROKEN = "broken"
"""Column: why a piece could not be parsed. An exception would come back as Ray's own, with a traceback as its text."""

MAX_PARTITIONS = 200
"""Most partitions of Ray Data's shuffle, its default; each of them costs time."""

Parse = Callable[[Piece], Parsed]


class RowsOnRay:
    """The rows of some pieces of a ledger, in the object store of the Ray that this process is connected to.

    Its attributes are those of `analysis.ledger.collect.Rows`.

    Args:
        pieces: The pieces, in order; every machine must reach their run directory.
        parse: Reads and parses a piece.

    Raises:
        InputError: If a line is broken.
    """

    def __init__(self, pieces: Sequence[Piece], parse: Parse) -> None:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        self._rows = None
        self.others, self.terms = OTHER_SCHEMA.empty_table(), set[str]()
        self.first_epochs = NO_EPOCHS.select(["trial_id", PLACE])
        if not pieces:
            return
        items = ray.data.from_items([piece._asdict() for piece in pieces], override_num_blocks=len(pieces))
        # Materialized, because they are read three times: all columns must be known before any part is written.
        self._rows = items.map_batches(partial(_parsed, parse), batch_size=1, batch_format="pyarrow").materialize()
        others = _gathered(self._rows, _others)
        if BROKEN in others.column_names:
            raise InputError(others[BROKEN].drop_null()[0].as_py())
        self.others = others.sort_by(PLACE)
        self.terms = set(_gathered(self._rows, _terms)["name"].to_pylist())
        self.first_epochs = _gathered(self._rows, _first_epochs)

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        """Group the epochs by part, each part on one machine; return the results of ``write``.

        Args:
            number: Adds the column `PART` to epochs.
            write: Takes a part's number and all its epochs, in any order.
        """
        if self._rows is None:
            return []
        numbered = self._rows.map_batches(
            partial(_numbered, number, sorted(self.terms)), batch_size=None, batch_format="pyarrow"
        )
        partitions = min(self._rows.num_blocks(), MAX_PARTITIONS)
        parts = numbered.groupby(PART, num_partitions=partitions)
        return _tables(parts.map_groups(partial(_written, write), batch_format="pyarrow"))


def _parsed(parse: Parse, batch: pa.Table) -> pa.Table:
    (values,) = batch.to_pylist()
    try:
        return pa.concat_tables(parse(Piece(**values)), promote_options="default")
    except InputError as error:
        return pa.table({BROKEN: [str(error)]})


def _others(rows: pa.Table) -> pa.Table:
    if BROKEN in rows.column_names:
        return rows.select([BROKEN])
    return rows.filter(rows[LINE].is_valid()).select(OTHER_SCHEMA.names)


def _terms(rows: pa.Table) -> pa.Table:
    return pa.table({"name": pa.array(filter(_is_named, rows.column_names), pa.string())})


def _is_named(column: str) -> bool:
    """Return whether only some epochs may have a column: an objective's term, or a number of health."""
    return column.startswith(tuple(NAMED.values()))


def _first_epochs(rows: pa.Table) -> pa.Table:
    epochs = rows.filter(rows[LINE].is_null())
    firsts = epochs.select(["trial_id", PLACE]).group_by("trial_id").aggregate([(PLACE, "min")])
    return firsts.rename_columns(["trial_id", PLACE])


def _numbered(number: Callable[[pa.Table], pa.Table], terms: list[str], rows: pa.Table) -> pa.Table:
    """Return a block's epochs, with the same columns in every block, as Ray Data requires."""
    epochs = rows.filter(rows[LINE].is_null()).drop_columns([n for n in OTHER_SCHEMA.names if n != PLACE])
    for name in terms:
        if name not in epochs.column_names:
            epochs = epochs.append_column(name, pa.nulls(epochs.num_rows, pa.float64()))
    return number(epochs.select([n for n in epochs.column_names if not _is_named(n)] + terms))


def _written(write: Callable[[int, pa.Table], pa.Table], rows: pa.Table) -> pa.Table:
    return write(rows[PART][0].as_py(), rows)


def _gathered(rows: ray.data.Dataset, select: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """Return the selection of every block, as one table in this process."""
    selected = rows.map_batches(select, batch_size=None, batch_format="pyarrow")
    return pa.concat_tables(_tables(selected), promote_options="default")


def _tables(dataset: ray.data.Dataset) -> list[pa.Table]:
    tables: list[pa.Table] = ray.get(dataset.to_arrow_refs())
    return tables
