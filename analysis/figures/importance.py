"""Importance of a search's factors for each metric, as two evaluators see it, with intervals and shadows."""

import altair as alt

from analysis.figures.theme import BLUE, GREY, WIDTH, Chart, Record, by_kind, data, numbers, rows_of
from analysis.searches.importance import importance_text
from analysis.study_tables import StudyTables
from analysis.wording import quantity

METHODS = {
    "ped-anova": "PED-ANOVA: part in what sets the best tenth apart",
    "fanova": "fANOVA: share of the score's variance",
}

LOOKS = dict(zip(METHODS.values(), ((BLUE, "circle"), (GREY, "square")), strict=True))


def record(results: StudyTables) -> Record | None:
    """Return the importances to be drawn; None where nothing was searched or too few arms are known.

    Each row has ``metric``, ``factor``, ``method``, ``importance``, ``low``, ``high`` and ``shadow``, the most
    important factor by PED-ANOVA first, fANOVA's interactions last.
    """
    found = results.importance.dropna(subset="importance")
    if found.empty:
        return None
    without = results.importance[results.importance["importance"].isna()]
    reasons = [
        f"{text.partition(':')[0]} has no mark at {', '.join(missing['factor'])}: {reason}."
        for method, text in METHODS.items()
        for reason, missing in without[without["method"] == method].groupby("reason", sort=False)
    ]
    shown = found[["metric", "factor", "method", "importance", "low", "high", "shadow"]].round(6)
    named = found["metric"].map(lambda metric: quantity(metric).name)
    return Record(
        rows=rows_of(shown.assign(method=found["method"].map(METHODS), metric=named)),
        caption=" ".join([importance_text(results.importance), "The dashes are the shadows.", *reasons]),
    )


def chart(importances: Record) -> Chart:
    """Return the drawing."""
    factors = list(dict.fromkeys(row["factor"] for row in importances.rows))
    looks = by_kind("method", LOOKS, "color shape")
    names = alt.Axis(ticks=False, domain=False, grid=True)
    base = alt.Chart().encode(
        y=alt.Y("factor:N", title=None, sort=factors, axis=names),
        yOffset=alt.YOffset("method:N", sort=[*LOOKS], scale=alt.Scale(paddingOuter=0.6)),
        color=looks["color"],
        tooltip=["factor:N", "method:N", *numbers("importance", "low", "high")],
    )
    x = alt.X("importance:Q", title="share", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5))
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="share"), x2="high:Q")
    point = base.mark_point(size=70, filled=True, opacity=1).encode(x=x, shape=looks["shape"])
    dash = base.mark_tick(strokeDash=[2, 2], thickness=1.5, size=18).encode(x=alt.X("shadow:Q", title="share"))
    drawn = alt.layer(interval, dash, point, data=data(importances.rows))
    drawn = drawn.properties(width=WIDTH, height=44 * len(factors))
    metrics = list(dict.fromkeys(row["metric"] for row in importances.rows))
    return drawn.facet(row=alt.Row("metric:N", title=None, sort=metrics)) if len(metrics) > 1 else drawn
