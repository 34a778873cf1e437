"""A ledger's rows in the memory of this process, parsed on all its cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from analysis.epochs import PART
from analysis.ledger import NAMED, NO_EPOCHS, OTHER_SCHEMA, Parsed, Piece


class RowsInMemory:
    """The rows of some pieces of a ledger.

    Args:
        pieces: Which ones, in order.
        parse: Reads and parses one; most of that is compiled code, so that threads do it at the same time.

    Attributes:
        others: Those that are no epochs, in order.
        epochs: The others.
    """

    def __init__(self, pieces: Sequence[Piece], parse: Callable[[Piece], Parsed]) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parsed = list(threads.map(parse, pieces))
        self.others = pa.concat_tables([OTHER_SCHEMA.empty_table(), *(rows.others for rows in parsed)])
        self.epochs = pa.concat_tables(
            [NO_EPOCHS, *(rows.epochs for rows in parsed)], promote_options="default"
        )

    @property
    def terms(self) -> set[str]:
        """The columns of objectives' terms, and of health, that any of the epochs has."""
        return {name for name in self.epochs.column_names if name.startswith(tuple(NAMED.values()))}

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        """Bring the epochs of each part together, and return what ``write`` returns of each, in order.

        Args:
            number: Adds the column `analysis.epochs.PART` to the epochs.
            write: Takes a part's number and all its epochs.
        """
        rows = number(self.epochs).combine_chunks()
        part = rows[PART].to_numpy()
        order = np.argsort(part, kind="stable")
        numbers, starts = np.unique(part[order], return_index=True)
        groups = np.split(order, starts[1:]) if len(numbers) else []
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parts = threads.map(
                lambda found: write(int(found[0]), rows.take(pa.array(found[1]))),
                zip(numbers, groups, strict=True),
            )
            return list(parts)
