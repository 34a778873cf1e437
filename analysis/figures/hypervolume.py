"""Hypervolume of a search of several metrics: how its Pareto front grew from arm to arm."""

import altair as alt

from analysis.figures.shown import thinned
from analysis.figures.theme import BLUE, WIDTH, Chart, Record, data, numbers, rows_of
from analysis.searches.pareto import metric_means, volumes
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Stage


def record(results: StudyTables) -> Record | None:
    """Return the hypervolumes to be drawn; None for a search of one metric, or of fewer than two complete arms.

    Each row has ``number`` (of the arm's first trial, from 1), ``arm`` and ``volume`` (0 to 1) after it.
    """
    study, arms = results.facts.study, results.searched
    means = metric_means(results.trials, study, Stage.SEARCH) if study.further_metrics else None
    if means is None or len(means) < 2:
        return None
    named = arms.set_index("arm_id").loc[means.index, ["number", "arm"]].assign(volume=volumes(means, study))
    names = " and ".join(quantity(name).name for name in study.directions)
    return Record(
        axis="hypervolume",
        rows=rows_of(thinned(named, named["volume"].diff() != 0)),
        caption=f"Hypervolume of {names} after each of the n = {len(means)} complete arms of the search: the share of "
        "the box between the best and the worst value of each metric, over all these arms, that the arms up to then "
        "dominate. It never falls; where it stays, more arms found no better trade-off.",
    )


def chart(growth: Record) -> Chart:
    """Return the drawing."""
    base = alt.Chart(data(growth.rows)).encode(
        x=alt.X("number:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False)),
        y=alt.Y("volume:Q", title=growth.axis, scale=alt.Scale(domain=[0, 1])),
        tooltip=["number:Q", "arm:N", *numbers("volume")],
    )
    line = base.mark_line(color=BLUE, interpolate="step-after", strokeWidth=1.5)
    return alt.layer(line, base.mark_point(color=BLUE, size=25)).properties(width=WIDTH, height=160)
