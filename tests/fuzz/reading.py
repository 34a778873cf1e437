"""What a report makes of results, but for drawing: every table, sentence and figure's record."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import analysis.importance  # noqa: F401  # so that its module is there to be changed
from analysis.methods import methods_text, provenance_rows
from analysis.plot import all_drawings
from analysis.report import DERIVED
from analysis.results import Results
from analysis.scope import scope_text
from analysis.side_tables import side_tables
from analysis.tables import main_tables, markdown_tables
from analysis.trial_table import trial_table

NUM_RESAMPLES = 10
"""Of the importances' bootstrap: fewer than in a report, whose time is not what is looked for."""


@contextmanager
def _fewer_resamples() -> Iterator[None]:
    module = sys.modules["analysis.importance"]  # which is hidden behind its function of the same name
    before = module.NUM_RESAMPLES
    module.NUM_RESAMPLES = NUM_RESAMPLES
    try:
        yield
    finally:
        module.NUM_RESAMPLES = before


def read_through(results: Results) -> None:
    """Make all that a report says of results; what a report would leave out with a reason raises here."""
    with _fewer_resamples():
        _read_through(results)


def _read_through(results: Results) -> None:
    for name in DERIVED:
        getattr(results, name)
    markdown_tables(main_tables(results))
    for table in side_tables(results).values():
        markdown_tables([table])
    methods_text(results)
    provenance_rows(results)
    scope_text(results)
    trial_table(results)
    _, why_not = all_drawings(results)
    if why_not:
        raise AssertionError(f"figures that cannot be made: {why_not}")
