"""Figures. Each file has a record, made of results, of what is drawn, and a chart, made of the record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis.figures import (
    critical_difference,
    effects,
    health,
    heat_map,
    history,
    importance,
    learning_curves,
    marginal,
    paired_slopes,
    parallel,
    pareto,
    rank_map,
    slices,
    winners_curse,
)


@dataclass(frozen=True)
class Figure:
    """One kind of figure.

    Attributes:
        title: Its heading in the report.
        needs: What a run must have for it, in words that follow "it needs".
        record: Results, and as many factors as may be chosen -> what is drawn, with a ``caption``; None where the
            figure does not apply.
        chart: What is drawn -> an Altair chart.
        num_factors: How many factors may be chosen, all or none of them.
    """

    title: str
    needs: str
    record: Callable[..., Any]
    chart: Callable[[Any], Any]
    num_factors: int = 0


FIGURES = {
    "effects": Figure("Effects", "an arm and a baseline with results", effects.record, effects.chart),
    "critical_difference": Figure(
        "Ranks over all contexts",
        "three arms ranked in five contexts or more",
        critical_difference.record,
        critical_difference.chart,
    ),
    "heat_map": Figure(
        "Two factors together",
        "a grid or a search with two factors of several levels each",
        heat_map.record,
        heat_map.chart,
        num_factors=2,
    ),
    "marginal": Figure(
        "One factor along its levels",
        "a numeric factor with results at three levels or more",
        marginal.record,
        marginal.chart,
        num_factors=1,
    ),
    "paired_slopes": Figure(
        "Seed by seed",
        "an arm that shares a complete seed with its baseline",
        paired_slopes.record,
        paired_slopes.chart,
    ),
    "learning_curves": Figure(
        "Learning curves", "a complete trial of a design", learning_curves.record, learning_curves.chart
    ),
    "health": Figure(
        "Health of the distillation",
        "a complete trial of a design whose study measures 'health:'",
        health.record,
        health.chart,
    ),
    "importance": Figure(
        "Importance of the factors",
        "a search of ten arms, complete or pruned",
        importance.record,
        importance.chart,
    ),
    "history": Figure("History of the search", "a search with a score", history.record, history.chart),
    "winners_curse": Figure(
        "The winner's curse",
        "a search with a confirmed arm",
        winners_curse.record,
        winners_curse.chart,
    ),
    "slices": Figure(
        "Scores along each factor",
        "a search of three complete arms with a factor",
        slices.record,
        slices.chart,
    ),
    "rank_map": Figure(
        "Where the good arms lie",
        "a search of five arms with two numeric factors",
        rank_map.record,
        rank_map.chart,
        num_factors=2,
    ),
    "parallel": Figure(
        "Parallel coordinates",
        "a search of five complete arms with two factors",
        parallel.record,
        parallel.chart,
    ),
    "pareto": Figure(
        "Score against training time",
        "a search of three complete arms with a training time",
        pareto.record,
        pareto.chart,
    ),
}
"""In the order of the page."""
