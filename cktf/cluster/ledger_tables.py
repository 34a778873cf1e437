"""A ledger's pieces parsed on all machines of a Ray cluster, by Ray Data."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data

from analysis.ledger.pieces import OTHER_SCHEMA, PLACE, Parsed, Piece
from cktf.errors import InputError

BROKEN = "broken"
"""Column: why a piece could not be parsed. An exception would come back as Ray's own, with a traceback as its text."""

Parse = Callable[[Piece], Parsed]


def parsed_on_ray(pieces: Sequence[Piece], parse: Parse) -> list[Parsed]:
    """Return pieces of a ledger, parsed on the Ray cluster that this process is connected to.

    Every machine must reach their run directory. A broken line is an InputError.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    if not pieces:
        return []
    items = ray.data.from_items([piece._asdict() for piece in pieces], override_num_blocks=len(pieces))
    rows = items.map_batches(partial(_parsed, parse), batch_size=1, batch_format="pyarrow")
    blocks: list[pa.Table] = ray.get(rows.to_arrow_refs())
    for block in blocks:
        if BROKEN in block.column_names:
            raise InputError(block[BROKEN].drop_null()[0].as_py())
    return [_apart(block) for block in blocks]


def _parsed(parse: Parse, batch: pa.Table) -> pa.Table:
    """Return the rows of a piece, epochs and others, as one table, because a block of Ray Data is one table."""
    (values,) = batch.to_pylist()
    try:
        return pa.concat_tables(parse(Piece(**values)), promote_options="default")
    except InputError as error:
        return pa.table({BROKEN: [str(error)]})


def _apart(rows: pa.Table) -> Parsed:
    """Undo the joining of `_parsed`: separate the epochs from the other rows."""
    is_epoch = pc.is_null(rows["line"])
    own = [name for name in OTHER_SCHEMA.names if name != PLACE]
    others = rows.filter(pc.invert(is_epoch)).select(OTHER_SCHEMA.names).cast(OTHER_SCHEMA)
    return Parsed(rows.filter(is_epoch).drop_columns(own), others)
