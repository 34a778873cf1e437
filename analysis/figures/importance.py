"""Importance of a search's factors, as two evaluators see it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.figures.theme import BLUE, GREY, WIDTH, data
from analysis.results import Results

if TYPE_CHECKING:
    import altair as alt

METHODS = {"ped-anova": "PED-ANOVA: sets the best tenth apart", "fanova": "fANOVA: explains variance"}


@dataclass(frozen=True)
class Importances:
    """What is drawn.

    Attributes:
        factors: In order, most important first by PED-ANOVA.
        rows: ``factor``, ``method`` (in words), ``importance`` (a share of one).
        caption: What to read.
    """

    factors: list[str]
    rows: list[dict[str, Any]]
    caption: str


def record(results: Results) -> Importances | None:
    """Return the importances to be drawn; None where nothing was searched or too few arms are complete."""
    found = results.importance.dropna(subset="importance")
    if found.empty:
        return None
    rows = [
        {"factor": row["factor"], "method": METHODS[row["method"]], "importance": round(row["importance"], 6)}
        for row in found.to_dict("records")
    ]
    counts = found.iloc[0]
    return Importances(
        factors=list(dict.fromkeys(found["factor"])),
        rows=rows,
        caption=f"How much each factor mattered for the search score, from {counts['n_complete']} complete "
        f"arms ({counts['n_pruned']} pruned and {counts['n_failed']} failed ones are not used). "
        "Shares of one evaluator sum to 1. A factor may matter and yet have no good level: see the effects.",
    )


def chart(importances: Importances) -> "alt.Chart":
    """Return the drawing."""
    import altair as alt

    order = list(METHODS.values())
    bars: alt.Chart = (
        alt.Chart(data(importances.rows))
        .mark_bar(height=alt.RelativeBandSize(0.85))
        .encode(
            x=alt.X("importance:Q", title="importance (share of 1)", axis=alt.Axis(tickCount=5)),
            y=alt.Y(
                "factor:N", title=None, sort=importances.factors, axis=alt.Axis(ticks=False, domain=False)
            ),
            yOffset=alt.YOffset("method:N", sort=order),
            color=alt.Color(
                "method:N", title=None, sort=order, scale=alt.Scale(domain=order, range=[BLUE, GREY])
            ),
            tooltip=["factor:N", "method:N", alt.Tooltip("importance:Q", format=".3f")],
        )
        .properties(width=WIDTH, height=44 * len(importances.factors))
    )
    return bars
