"""Forest of effects: every arm against the baseline, with its interval, about a line at zero."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.figures.theme import BLUE, INK, WIDTH, data
from analysis.quantities import quantity
from analysis.results import Results
from cktf.rows import arm_label

if TYPE_CHECKING:
    import altair as alt

LEVEL = 0.05
"""Of the adjusted p below which a point is filled."""

FILLED, HOLLOW = f"adjusted p < {LEVEL}", f"adjusted p ≥ {LEVEL}, or none"


@dataclass(frozen=True)
class Forest:
    """What is drawn.

    Attributes:
        axis: Title of the axis of effects, with its unit.
        rows: For each arm ``label`` (name and n), ``effect``, ``low``, ``high`` (None where there is none),
            ``mark``.
        caption: What to read.
    """

    axis: str
    rows: list[dict[str, Any]]
    caption: str


def record(results: Results) -> Forest | None:
    """Return the effects to be drawn; None where no arm is compared with a baseline."""
    effects = results.effects
    if effects.empty or effects["effect"].isna().all():
        return None
    study = results.facts.study
    measured = quantity(study.report_metric)
    unit = f" ({measured.difference_unit})" if measured.difference_unit else ""
    rows = [
        {
            "label": f"{arm_label(effect['arm'], effect['context'])}  (n = {effect['n_pairs']})",
            "effect": _number(effect["effect"]),
            "low": _number(effect["low"]),
            "high": _number(effect["high"]),
            "mark": FILLED if effect["p_holm"] < LEVEL else HOLLOW,
        }
        for effect in effects.to_dict("records")
    ]
    better = "right" if study.maximise else "left"
    of_context = " of the same context" if effects["context"].nunique() > 1 else ""
    return Forest(
        axis=f"effect on {measured.name}{unit}",
        rows=rows,
        caption=f"Mean difference from the baseline{of_context} at the same seeds, with its 95% interval; n counts the "
        f"pairs. Better is to the {better} of the line. Filled points: p < {LEVEL} after Holm's adjustment.",
    )


def chart(forest: Forest) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    labels = [row["label"] for row in forest.rows]
    y = alt.Y(
        "label:N",
        title=None,
        sort=labels,
        scale=alt.Scale(domain=labels),
        axis=alt.Axis(ticks=False, domain=False),
    )
    tooltip = [alt.Tooltip("label:N", title="arm")]
    tooltip += [alt.Tooltip(f"{name}:Q", format="+.3f") for name in ("effect", "low", "high")]
    base = alt.Chart(data(forest.rows)).encode(y=y)
    zero = (
        alt.Chart(data([{"zero": 0}])).mark_rule(color=INK, strokeDash=[3, 3], opacity=0.7).encode(x="zero:Q")
    )
    signed = alt.Axis(labelExpr="datum.value === 0 ? '0' : format(datum.value, '+~g')", tickCount=6)
    x = alt.X("effect:Q", title=forest.axis, scale=alt.Scale(padding=12), axis=signed)
    interval = base.mark_rule(color=BLUE, strokeWidth=2).encode(
        x=alt.X("low:Q", title=forest.axis), x2="high:Q", tooltip=tooltip
    )
    point = base.mark_point(size=80, color=BLUE, opacity=1, strokeWidth=2).encode(
        x=x,
        fill=alt.Fill(
            "mark:N",
            title=None,
            scale=alt.Scale(domain=[FILLED, HOLLOW], range=[BLUE, "transparent"]),
            legend=None,
        ),
        tooltip=tooltip,
    )
    return alt.layer(zero, interval, point).properties(width=WIDTH, height=26 * len(labels))


def _number(value: float) -> float | None:
    """Return a number as JSON can hold it: what is missing is None."""
    return None if math.isnan(value) else float(value)
