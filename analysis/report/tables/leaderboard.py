"""The best arms of a search by the score that selected them."""

from analysis.report.table import NOTE, Rows, Table
from analysis.results import Results
from analysis.wording import number_text, quantity

MOST_LEADERS = 10
"""Arms of a search that are listed by their search scores."""


def tables(results: Results) -> list[Table]:
    """Return the table, empty where no arm is complete."""
    none = "No arm of the search has all of its seeds complete." if results.leaderboard.empty else ""
    return [Table("Best arms by search score (selected on it: optimistic)", _rows(results), none)]


def _rows(results: Results) -> Rows:
    """Return the best arms of a search, best first, by the score that selected them."""
    measured = quantity(results.facts.study.metric)
    rows = [["arm", "seeds", f"{measured.label}, search score", NOTE]]
    for _, arm in results.leaderboard.head(MOST_LEADERS).iterrows():
        score = number_text(arm["score"], measured.decimals)
        rows.append([arm["arm"], str(arm["n"]), score, ""])
    return rows
