"""Which factors figures show, and in which order."""

from typing import TYPE_CHECKING

from analysis.study_tables import StudyTables

if TYPE_CHECKING:
    from analysis.study_tables import StudyTables

    pass


def factor_order(results: StudyTables) -> list[str]:
    """Return the factors of a study: those of a search by PED-ANOVA's importance, where there is one."""
    found = results.importance.dropna(subset="importance")
    important = found.loc[found["method"] == "ped-anova", "factor"]
    return list(dict.fromkeys([*important, *results.facts.study.factors]))


def searched_factors(results: "StudyTables") -> list[str]:
    """Return the factors that any arm of a search has, in the order of `analysis.figures.factors.factor_order`."""
    return [name for name in factor_order(results) if f"param.{name}" in results.searched]
