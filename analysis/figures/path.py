"""The ablation path of a search: the predicted score on the way from the baseline's levels to the best arm's."""

from functools import partial

import altair as alt

from analysis.figures.theme import BLUE, GREY, WIDTH, Chart, Record, data, numbers, rows_of
from analysis.searches.path import path_text, step_name
from analysis.study_tables import StudyTables
from analysis.wording import quantity


def record(results: StudyTables) -> Record | None:
    """Return the steps to be drawn, those for the first metric; None where there are none.

    Each row has ``label``, ``predicted``, the score ``before`` the step, and ``low`` and ``high``, that score plus the
    ends of the change's interval; all three are None at the baseline.
    """
    study = results.facts.study
    found = results.path[results.path["metric"] == study.metric]
    if found.empty:
        return None
    before = found["predicted"].shift()
    shown = found.assign(
        label=[step_name(step, study.factors) for _, step in found.iterrows()],
        before=before,
        low=before + found["low"],
        high=before + found["high"],
    )
    caption = (
        f"{path_text(found)} Bars: the change by each step, the best one first; lines: its 95% interval. Better is to "
        f"the {'right' if study.maximise else 'left'}."
    )
    rows = rows_of(shown[["label", "before", "predicted", "low", "high", "change"]])
    return Record(axis=f"predicted {quantity(study.metric).label}", rows=rows, caption=caption)


def chart(path: Record) -> Chart:
    """Return the drawing."""
    labels = [row["label"] for row in path.rows]
    y = alt.Y("label:N", title=None, sort=labels, scale=alt.Scale(domain=labels), axis=alt.Axis(ticks=False))
    base = alt.Chart(data(path.rows)).encode(y=y, tooltip=[alt.Tooltip("label:N"), *numbers("predicted", "change")])
    scale = alt.Scale(zero=False, padding=14)
    x = partial(alt.X, title=path.axis, scale=scale)
    bar = base.mark_rule(color=BLUE, strokeWidth=10, opacity=0.5).encode(x=x("before:Q"), x2="predicted:Q")
    interval = base.mark_rule(color=GREY, strokeWidth=1.5).encode(x=x("low:Q"), x2="high:Q")
    point = base.mark_point(size=70, filled=True, opacity=1, color=BLUE).encode(
        x=x("predicted:Q", axis=alt.Axis(tickCount=6))
    )
    return alt.layer(bar, interval, point).properties(width=WIDTH, height=30 * len(labels))
