"""Tables as people read them. Each file makes those of one kind from results."""

from collections.abc import Callable

from analysis.report.table import Table, directed, main_name, marked, unmade_table
from analysis.report.tables import (
    confirmed,
    contexts,
    effects,
    health,
    importance,
    interactions,
    leaderboard,
    over_contexts,
    pairing,
    ranks,
    teachers,
)
from analysis.results import Results

TABLES: dict[str, Callable[[Results], list[Table]]] = {
    "contexts": contexts.tables,
    "effects": effects.tables,
    "leaderboard": leaderboard.tables,
    "over_contexts": over_contexts.tables,
    "ranks": ranks.tables,
    "interactions": interactions.tables,
    "teachers": teachers.tables,
    "pairing": pairing.tables,
    "health": health.tables,
    "confirmed": confirmed.tables,
    "importance": importance.tables,
}
"""Kind of table to its function, which returns no table where the kind does not apply; in the order of the page."""

ANSWERS = {"effects": ("contexts", "effects"), "leaderboard": ("leaderboard",)}
"""What answers the question of a study (see `main_name`) to the kinds of tables that say it."""

WITHOUT_DIRECTION = {"health", "importance", "teachers"}
"""Kinds whose figures are not of the metric."""


def main_tables(results: Results) -> list[Table]:
    """Return the tables that answer the question: effects, one table a context, or, failing these, search scores.

    Several contexts are first laid side by side. The tables of a smoke run say that they answer nothing.
    """
    try:
        kinds = ANSWERS[main_name(results)]
        return [_finished(kind, table, results) for kind in kinds for table in TABLES[kind](results)]
    except Exception as error:  # whatever it is, the rest of the report is worth having
        return [unmade_table("Effects", error)]


def side_tables(results: Results) -> dict[str, Table]:
    """Return the other tables that apply, by kind; the only cell of one that could not be made is the reason."""
    found: dict[str, Table] = {}
    for kind in [kind for kind in TABLES if kind not in sum(ANSWERS.values(), ())]:
        try:
            for table in TABLES[kind](results):
                found[kind] = _finished(kind, table, results)
        except Exception as error:  # whatever it is, the other tables are worth having
            title = kind.replace("_", " ").capitalize()
            found[kind] = _finished(kind, unmade_table(title, error), results)
    return found


def _finished(kind: str, table: Table, results: Results) -> Table:
    return marked(table if kind in WITHOUT_DIRECTION else directed(table, results), results)
