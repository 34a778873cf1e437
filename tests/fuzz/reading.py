"""What a report makes of results, but for drawing: every table, sentence and figure's record."""

from analysis.methods import methods_text, provenance_rows
from analysis.plot import all_drawings
from analysis.report import DERIVED
from analysis.results import Results
from analysis.scope import scope_text
from analysis.side_tables import side_tables
from analysis.tables import main_tables, markdown_tables
from analysis.trial_table import trial_table


def read_through(results: Results) -> None:
    """Make all that a report says of results; what a report would leave out with a reason raises here."""
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
