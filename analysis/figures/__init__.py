"""Figures. Each file has a record, made of results, of what is drawn, and a chart, made of the record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis.figures import critical_difference, effects, history, importance, learning_curves
from analysis.results import Results


@dataclass(frozen=True)
class Figure:
    """One kind of figure.

    Attributes:
        title: Its heading in the report.
        record: Results -> what is drawn, with a ``caption``; None where the figure does not apply.
        chart: What is drawn -> an Altair chart.
    """

    title: str
    record: Callable[[Results], Any]
    chart: Callable[[Any], Any]


FIGURES = {
    "effects": Figure("Effects", effects.record, effects.chart),
    "critical_difference": Figure(
        "Ranks over all contexts", critical_difference.record, critical_difference.chart
    ),
    "learning_curves": Figure("Learning curves", learning_curves.record, learning_curves.chart),
    "importance": Figure("Importance of the factors", importance.record, importance.chart),
    "history": Figure("History of the search", history.record, history.chart),
}
