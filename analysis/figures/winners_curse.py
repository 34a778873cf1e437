"""The winner's curse: what the best arms scored in the search, beside what they yield at fresh seeds."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.figures.arms import arm_in_search
from analysis.figures.theme import BLUE, GREY, WIDTH, data, json_number
from analysis.searches.confirmed import luck_text
from analysis.study_tables import StudyTables
from analysis.wording import quantity, signed_text

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

SEARCH, FRESH = "search score", "mean at fresh seeds"


@dataclass(frozen=True)
class WinnersCurse:
    """What is drawn.

    Attributes:
        axis: Title of the axis of scores, with its unit.
        rows: For each arm ``label`` (its name, and how many fresh seeds), ``mean``, ``low``, ``high``, ``search`` (None
            where there is none), ``arm``.
        caption: What to read.
    """

    axis: str
    rows: list[dict[str, Any]]
    caption: str


def record(results: StudyTables) -> WinnersCurse | None:
    """Return the scores to be drawn; None where no arm of a search has a score at fresh seeds, too."""
    found = results.confirmed.dropna(subset="mean")
    chosen = found[~found["is_baseline"]].dropna(subset="search_score")
    if chosen.empty:
        return None
    measured = quantity(results.facts.study.metric)
    rows = [
        {
            "label": f"{arm_in_search(arm)}  (n = {arm['n']})",
            "arm": arm["arm"],
            "mean": json_number(arm["mean"]),
            **{name: json_number(measured.cut(arm[name])) for name in ("low", "high")},
            "search": json_number(arm["search_score"]),
        }
        for _, arm in found.iterrows()
    ]
    interval = ", with the 95% interval of their mean" if found["low"].notna().any() else ""
    seeds = int(found["n_search"].max())
    return WinnersCurse(
        axis=measured.label,
        rows=rows,
        caption=f"{measured.name.capitalize()} of the confirmed arms: in the search, at {seeds} "
        f"seed{'s' * (seeds != 1)} which all its arms share, and at n fresh seeds{interval}. The baseline was not "
        f"chosen.{_luck(results, chosen)} The table of confirmed arms has their full names.",
    )


def _luck(results: StudyTables, chosen: "pd.DataFrame") -> str:
    """Return how much of the scores of the chosen arms is the luck of the selection; nothing where that is unknown."""
    if chosen["selection_luck"].isna().all():
        return ""
    study = results.facts.study
    measured = quantity(study.metric)
    unit = f" {measured.difference_unit}" if measured.difference_unit else ""
    luck, above = (signed_text(chosen[name].mean(), measured.decimals) for name in ("selection_luck", "above_fresh"))
    return (
        f" Luck of the selection, on average over the arms that were chosen by their search scores: {luck}{unit}, of "
        f"{above}{unit} by which the scores are above the fresh means. {luck_text(study)}"
    )


def chart(curse: WinnersCurse) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    labels = [row["label"] for row in curse.rows]
    y = alt.Y(
        "label:N",
        title=None,
        sort=labels,
        scale=alt.Scale(domain=labels),
        axis=alt.Axis(ticks=False, domain=False),
    )
    order = [SEARCH, FRESH]
    legend = {
        "color": alt.Color("kind:N", sort=order, scale=alt.Scale(domain=order, range=[GREY, BLUE])),
        "shape": alt.Shape("kind:N", sort=order, scale=alt.Scale(domain=order, range=["diamond", "circle"])),
    }
    tooltip = [
        alt.Tooltip("arm:N"),
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("search", "mean", "low", "high")),
    ]
    base = alt.Chart(data(curse.rows)).encode(y=y, tooltip=tooltip)
    x = partial(alt.X, title=curse.axis, scale=alt.Scale(zero=False, padding=14), axis=alt.Axis(tickCount=6))
    interval = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=x("low:Q"), x2="high:Q")
    points = [
        base.transform_calculate(kind=f"'{kind}'")
        .mark_point(size=90, filled=True, opacity=1)
        .encode(x=x(f"{column}:Q"), **legend)
        for kind, column in ((SEARCH, "search"), (FRESH, "mean"))
    ]
    return alt.layer(interval, *points).properties(width=WIDTH, height=32 * len(labels))
