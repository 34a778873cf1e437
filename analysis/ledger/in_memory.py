"""A ledger's rows in the memory of this process, parsed on all its cores."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from analysis.ledger.epochs import PART
from analysis.ledger.lines import NAMED
from analysis.ledger.pieces import NO_EPOCHS, OTHER_SCHEMA, PLACE, Parsed, Piece


class RowsInMemory:
    """The rows of some pieces of a ledger.

    Args:
        pieces: Which ones, in order.
        parse: Reads and parses one; most of that is compiled code, so that threads do it at the same time.

    Attributes:
        others: Those that are no epochs, in order.
        epochs: The others, a table for each piece that has any.
    """

    def __init__(self, pieces: Sequence[Piece], parse: Callable[[Piece], Parsed]) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parsed = list(threads.map(parse, pieces))
        self.others = pa.concat_tables([OTHER_SCHEMA.empty_table(), *(rows.others for rows in parsed)])
        self.epochs = [rows.epochs for rows in parsed if rows.epochs.num_rows]

    @property
    def terms(self) -> set[str]:
        """The columns of objectives' terms, and of health, that any of the epochs has."""
        names = {name for rows in self.epochs for name in rows.column_names}
        return {name for name in names if name.startswith(tuple(NAMED.values()))}

    @property
    def first_epochs(self) -> pa.Table:
        """Of each piece the first epoch of each trial: ``trial_id`` and `PLACE`."""
        columns = [rows.select(["trial_id", PLACE]) for rows in (NO_EPOCHS, *self.epochs)]
        firsts = [rows.group_by("trial_id").aggregate([(PLACE, "min")]) for rows in columns]
        return pa.concat_tables(firsts).rename_columns({f"{PLACE}_min": PLACE})

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        """Bring the epochs of each part together, and return what ``write`` returns of each, in order.

        Args:
            number: Adds the column `analysis.ledger.epochs.PART` to the epochs.
            write: Takes a part's number and all its epochs.
        """
        parts: dict[int, list[pa.Table]] = defaultdict(list)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for divided in threads.map(lambda rows: _divided(number(rows)), self.epochs):
                for part, rows in divided:
                    parts[part].append(rows)
            written = threads.map(
                lambda part: write(part, pa.concat_tables(parts.pop(part), promote_options="default")),
                sorted(parts),
            )
            return list(written)


def _divided(rows: pa.Table) -> list[tuple[int, pa.Table]]:
    """Return the rows of each part. Trials are trained in their order, so that most parts stand together."""
    part = rows[PART].to_numpy()
    if (part[1:] < part[:-1]).any():
        order = np.argsort(part, kind="stable")
        rows, part = rows.take(pa.array(order)), part[order]
    numbers, starts = np.unique(part, return_index=True)
    return [
        (int(number), rows.slice(start, stop - start))
        for number, start, stop in zip(numbers, starts, [*starts[1:], len(part)], strict=True)
    ]
