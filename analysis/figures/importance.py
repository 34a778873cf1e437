"""Importance of a search's factors, as two evaluators see it, with intervals."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.figures.theme import BLUE, GREY, WIDTH, data
from analysis.searches.importance import importance_text
from analysis.study_tables import StudyTables

if TYPE_CHECKING:
    import altair as alt

METHODS = {
    "ped-anova": "PED-ANOVA: part in what sets the best tenth apart",
    "fanova": "fANOVA: share of the score's variance",
}


@dataclass(frozen=True)
class Importances:
    """What is drawn.

    Attributes:
        factors: In order, most important first by PED-ANOVA; after them fANOVA's interactions.
        rows: ``factor``, ``method`` (in words), ``importance`` (a share of one), ``low``, ``high``.
        caption: What to read.
    """

    factors: list[str]
    rows: list[dict[str, Any]]
    caption: str


def record(results: StudyTables) -> Importances | None:
    """Return the importances to be drawn; None where nothing was searched or too few arms are known."""
    found = results.importance.dropna(subset="importance")
    if found.empty:
        return None
    rows = [
        {"factor": row["factor"], "method": METHODS[row["method"]]}
        | {name: round(row[name], 6) for name in ("importance", "low", "high")}
        for row in found.to_dict("records")
    ]
    without = results.importance[results.importance["importance"].isna()]
    reasons = [
        f"{text.partition(':')[0]} has no mark at {', '.join(missing['factor'])}: {reason}."
        for method, text in METHODS.items()
        for reason, missing in without[without["method"] == method].groupby("reason", sort=False)
    ]
    caption = " ".join([importance_text(results.importance), *reasons])
    return Importances(list(dict.fromkeys(found["factor"])), rows, caption)


def chart(importances: Importances) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    order = list(METHODS.values())
    base = alt.Chart(data(importances.rows)).encode(
        y=alt.Y(
            "factor:N",
            title=None,
            sort=importances.factors,
            axis=alt.Axis(ticks=False, domain=False, grid=True),
        ),
        yOffset=alt.YOffset("method:N", sort=order, scale=alt.Scale(paddingOuter=0.6)),
        color=alt.Color("method:N", title=None, sort=order, scale=alt.Scale(domain=order, range=[BLUE, GREY])),
        tooltip=[
            "factor:N",
            "method:N",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("importance", "low", "high")),
        ],
    )
    x = alt.X(
        "importance:Q",
        title="share",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(tickCount=5),
    )
    interval = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="share"), x2="high:Q")
    point = base.mark_point(size=70, filled=True, opacity=1).encode(
        x=x,
        shape=alt.Shape("method:N", sort=order, scale=alt.Scale(domain=order, range=["circle", "square"])),
    )
    return alt.layer(interval, point).properties(width=WIDTH, height=44 * len(importances.factors))
