"""What a report makes of results, but for drawing: every table, sentence and figure's record."""

from collections.abc import Iterator
from contextlib import contextmanager

from analysis.figures.drawing import all_drawings
from analysis.report.methods import methods_text
from analysis.report.provenance import provenance_rows
from analysis.report.reading import scope_text
from analysis.report.table import markdown_tables
from analysis.report.tables import main_tables, side_tables
from analysis.report.trial_table import trial_table
from analysis.report.write import DERIVED
from analysis.results import Results
from analysis.searches import importance

NUM_RESAMPLES = 10
"""Of the importances' bootstrap: fewer than in a report, whose time is not what is looked for."""


@contextmanager
def _fewer_resamples() -> Iterator[None]:
    before = importance.NUM_RESAMPLES
    importance.NUM_RESAMPLES = NUM_RESAMPLES
    try:
        yield
    finally:
        importance.NUM_RESAMPLES = before


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
