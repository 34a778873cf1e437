"""Tables for readers, made from results."""

from collections.abc import Callable
from dataclasses import replace

from analysis.report.table import SMOKE, Table, main_name, unmade_table
from analysis.report.tables import comparisons, components, distillation, effects, measures, searches
from analysis.results import Results
from analysis.wording import quantity

TABLES: dict[str, Callable[[Results], list[Table]]] = {
    "contexts": effects.contexts,
    "effects": effects.effects,
    "leaderboard": searches.leaderboard,
    "settings": components.settings,
    "components": components.components,
    "measures": measures.measures,
    "over_contexts": comparisons.over_contexts,
    "over_teachers": comparisons.over_teachers,
    "ranks": comparisons.ranks,
    "interactions": comparisons.interactions,
    "shapley": components.shapley,
    "teachers": distillation.teachers,
    "pairing": comparisons.pairing,
    "health": distillation.health,
    "confirmed": searches.confirmed,
    "pareto": searches.pareto,
    "importance": searches.importance,
    "path": searches.path,
}
"""Kind of table -> its function, which returns no table if the kind does not apply; in the order of the page."""

ANSWERS = {"effects": ("contexts", "effects"), "leaderboard": ("leaderboard",)}
"""Result of `main_name` -> the kinds of the tables that answer the question of a study."""

WITHOUT_DIRECTION = {"health", "importance", "measures", "pareto", "path", "settings", "teachers"}
"""Kinds whose numbers are not values of the metric."""


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
    """Return the other tables that apply, by kind; one that could not be made holds the reason."""
    found: dict[str, Table] = {}
    for kind in [kind for kind in TABLES if kind not in sum(ANSWERS.values(), ())]:
        try:
            for table in TABLES[kind](results):
                found[kind] = _finished(kind, table, results)
        except Exception as error:  # whatever it is, the other tables are worth having
            found[kind] = unmade_table(kind.replace("_", " ").capitalize(), error)
    return found


def _finished(kind: str, table: Table, results: Results) -> Table:
    """Return a table with the remarks that all have: which direction is better, an afterthought, a smoke run."""
    study, title, remark = results.facts.study, table.title, table.remark
    if kind not in WITHOUT_DIRECTION:
        column = study.metric if main_name(results) == "leaderboard" else study.report_metric
        remark = f"Of {quantity(column).name}, {'larger' if study.maximise else 'smaller'} is better. {remark}"
    if afterthought := results.facts.afterthought:
        title, remark = f"Afterthought: {title}", f"{afterthought} {remark}"
    if study.is_smoke:
        title, remark = f"Smoke run: {title}", f"{SMOKE} {remark}"
    return replace(table, title=title, remark=remark.rstrip())
