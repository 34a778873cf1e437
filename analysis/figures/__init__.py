"""Figures: each module turns results into a record of what is drawn, and the record into a chart."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One kind of figure.

    Attributes:
        title: Its heading in the report.
        needs: What a run must have for it, in words that follow "it needs".
        num_factors: Number of factors that may be chosen: either so many or none.
    """

    title: str
    needs: str
    num_factors: int = 0


FIGURES = {
    "effects": Figure("Effects", "an arm and a baseline with results"),
    "critical_difference": Figure("Ranks over all contexts", "three arms ranked in five contexts or more"),
    "heat_map": Figure("Two factors together", "a grid with two factors of several levels each", 2),
    "marginal": Figure(
        "One factor along its levels",
        "a design with a numeric factor that has results at three levels or more",
        num_factors=1,
    ),
    "paired_slopes": Figure("Seed by seed", "an arm that shares a complete seed with its baseline"),
    "learning_curves": Figure("Learning curves", "a complete trial of a design"),
    "health": Figure("Health of the distillation", "a complete trial of a design whose study measures 'health:'"),
    "importance": Figure("Importance of the factors", "a search of ten arms, complete or pruned"),
    "path": Figure("From the baseline to the best arm", "a search of ten arms whose best differs from the baseline"),
    "history": Figure("History of the search", "a search with a score"),
    "winners_curse": Figure("The winner's curse", "a search with a confirmed arm"),
    "slices": Figure("Scores along each factor", "a search of three complete arms with a factor"),
    "rank_map": Figure("Where the good arms lie", "a search of five arms with two numeric factors", 2),
    "parallel": Figure("Parallel coordinates", "a search of five complete arms with two factors"),
    "pareto": Figure("What a score costs", "a search of three complete arms with a training time"),
    "hypervolume": Figure("Growth of the front", "a search of several metrics with two complete arms"),
}
"""Name of a module in this package -> its figure, in the order of the page."""


def module_of(name: str) -> Any:
    """Return the module of a figure, which imports Altair.

    Its ``record`` takes results, and as many factors as may be chosen, and returns what is drawn, with a ``caption``,
    or None where the figure does not apply; its ``chart`` takes what is drawn and returns an Altair chart.
    """
    return import_module(f"analysis.figures.{name}")
