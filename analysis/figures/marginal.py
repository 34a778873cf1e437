"""Marginal effects: what a numeric factor does along its levels, whatever the other factors are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.factors import factor_order
from analysis.figures.theme import BLUE, INK, data, json_number, level_scale, title_lines
from analysis.statistics.intervals import grouped_estimates
from analysis.statistics.levels import factor_label, in_groups, is_logarithmic, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.names import arm_label
from cktf.rows import Stage

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

MAX_PANELS = 6
"""Factors, each in each context, that are drawn unless one is named."""

MIN_LEVELS = 3
"""Fewest levels of a factor that is drawn; two are one effect, which the forest shows."""

MAX_GROUPS, FEWEST_IN_GROUP = 6, 5
"""Parts that a search's levels are cut into, and the arms that each of them has, or about that."""


@dataclass(frozen=True)
class Panel:
    """One factor, in one context.

    Attributes:
        title: The context and the factor, and the n of each point.
        axis: Title of the horizontal axis: the factor.
        is_log: Whether this axis is logarithmic.
        rows: ``level``, ``value``, ``low``, ``high`` (None where there is none), ``n``, levels ascending.
        reference: The reference level, whose value is 0 by definition; None in a search.
    """

    title: str
    axis: str
    is_log: bool
    rows: list[dict[str, Any]]
    reference: float | None


@dataclass(frozen=True)
class Marginals:
    """What is drawn.

    Attributes:
        axis: Title of the vertical axes, with its unit.
        panels: In order.
        caption: What to read.
    """

    axis: str
    panels: list[Panel]
    caption: str


def record(results: StudyTables, factors: Sequence[str] = ()) -> Marginals | None:
    """Return the levels to be drawn.

    Args:
        results: Of any design or a search.
        factors: Those to look at; none: all that are numeric.

    Returns:
        None where no numeric factor has three levels with results.
    """
    study = results.facts.study
    is_search = bool((results.trials["stage"] == Stage.SEARCH).any())
    numeric = [name for name in factors or factor_order(results) if is_numeric(results.trials[f"param.{name}"])]
    if is_search:
        found = [_searched(results, name) for name in numeric]
    else:
        found = [_designed(results, name, context) for context in results.contexts for name in numeric]
    panels = [panel for panel in found if panel is not None]
    if not panels:
        return None
    measured = quantity(study.metric if is_search else study.report_metric)
    if is_search:
        axis = measured.label
        caption = (
            f"Mean {measured.name} of the complete arms of the search, cut by the factor's level into parts of about "
            "as many arms each, each at its median level, with its 95% interval; n counts the arms of a part. The "
            "search went where scores were good, so the other factors differ between the parts."
        )
    else:
        axis = measured.effect_label
        has_intervals = any(row["low"] is not None for panel in panels for row in panel.rows)
        caption = (
            "Effect of each level against the reference level (hollow, 0 by definition) at the same seeds"
            + (", with its 95% interval" if has_intervals else "")
            + (", averaged over the other factors of the grid" if study.design == "grid" else "")
            + f"; better is {'up' if study.maximise else 'down'}; n counts the "
            + ("trials." if study.design == "grid" else "pairs.")
        )
    if len(panels) > MAX_PANELS:
        caption += f" {MAX_PANELS} of {len(panels)} are drawn; the others can be named."
    return Marginals(axis, panels[:MAX_PANELS], caption)


def chart(marginals: Marginals) -> "alt.ConcatChart":
    """Return the drawing."""
    import altair as alt

    ends = [
        end
        for panel in marginals.panels
        for row in panel.rows
        for end in (row["low"], row["value"], row["high"])
        if end is not None
    ]
    # Panels that stand side by side are compared, so they share a scale.
    scale = alt.Scale(domain=[min(ends), max(ends)], zero=False, nice=True, padding=8)
    drawn = [
        _panel(panel, alt.Y("value:Q", title=title_lines(marginals.axis), scale=scale)) for panel in marginals.panels
    ]
    panels: alt.ConcatChart = alt.concat(*drawn, columns=2)
    return panels


def _panel(panel: Panel, y: "alt.Y") -> "alt.LayerChart | alt.FacetChart":
    import altair as alt

    levels = [row["level"] for row in panel.rows]
    ticks: dict[str, Any] = {"tickCount": 5} if panel.reference is None else {"values": levels}
    x = alt.X(
        "level:Q",
        title=panel.axis,
        scale=level_scale(is_log=panel.is_log, padding=14),
        axis=alt.Axis(format="~g", grid=False, labelOverlap=True, **ticks),
    )
    base = alt.Chart(data(panel.rows)).encode(x=x)
    line = base.mark_line(color=BLUE, strokeWidth=1.25, opacity=0.7).encode(y=y)
    interval = base.mark_rule(color=BLUE, strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q")
    is_reference = "false" if panel.reference is None else f"datum.level === {panel.reference!r}"
    point = base.mark_point(color=BLUE, size=60, strokeWidth=2, opacity=1, filled=False).encode(
        y=y,
        fill=alt.condition(is_reference, alt.value("transparent"), alt.value(BLUE)),
        tooltip=[
            alt.Tooltip("level:Q", title=panel.axis, format="~g"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
            "n:Q",
        ],
    )
    layers = [line, interval, point]
    if panel.reference is not None:
        zero = alt.Chart(data([{"zero": 0}])).mark_rule(color=INK, strokeDash=[3, 3], opacity=0.7)
        layers.insert(0, zero.encode(y="zero:Q"))
    return alt.layer(*layers).properties(width=220, height=160, title=panel.title)


def _designed(results: StudyTables, factor: str, context: str) -> Panel | None:
    """Return a factor's levels against the reference level, as the statistics of the design have it."""
    of_design = _main_effects if results.facts.study.design == "grid" else _effects_alone
    rows, reference = of_design(results, factor, context)
    rows = [row for row in rows if np.isfinite([row["level"], row["value"]]).all()]
    if not np.isfinite(reference) or len(rows) < MIN_LEVELS - 1:
        return None
    n = max(row["n"] for row in rows)
    rows.append({"level": reference, "value": 0.0, "low": np.nan, "high": np.nan, "n": n})
    return _sorted_panel(results, factor, context, rows, reference)


def _main_effects(results: StudyTables, factor: str, context: str) -> tuple[list[dict[str, Any]], float]:
    """Return the levels of a grid's factor, averaged over the other factors, and the reference level."""
    found = results.interactions
    found = found[(found["kind"] == "main") & (found["factor"] == factor) & (found["context"] == context)]
    # What a contrast is called ends in its level.
    levels = [[float(name.rpartition("=")[2]) for name in found[side]] for side in ("contrast", "against")]
    return _points(found, levels[0], "n"), levels[1][0] if len(found) else np.nan


def _effects_alone(results: StudyTables, factor: str, context: str) -> tuple[list[dict[str, Any]], float]:
    """Return the levels of the arms that differ from the baseline by this factor alone, and the baseline's."""
    arms = results.trials.drop_duplicates("arm_id").set_index("arm_id")[f"param.{factor}"].astype("float64")
    found = results.effects
    found = found[(found["factor"] == factor) & (found["context"] == context)]
    baseline = float(arms.get(results.facts.study.baseline_of(context), np.nan))
    return _points(found, arms[found["arm_id"]].to_list(), "n_pairs"), baseline


def _points(found: "pd.DataFrame", levels: list[float], counted: str) -> list[dict[str, Any]]:
    columns = (found[name] for name in ("effect", "low", "high", counted))
    return [
        {"level": level, "value": value, "low": low, "high": high, "n": int(n)}
        for level, value, low, high, n in zip(levels, *columns, strict=True)
    ]


def _searched(results: StudyTables, factor: str) -> Panel | None:
    """Return the mean score of the search in parts of a factor's levels."""
    searched = results.trials[results.trials["stage"] == Stage.SEARCH].drop_duplicates("arm_id")
    arms = results.leaderboard.merge(searched[["arm_id", f"param.{factor}"]], on="arm_id")
    arms = arms.rename(columns={f"param.{factor}": "level"}).dropna(subset="level")
    num_groups = min(MAX_GROUPS, len(arms) // FEWEST_IN_GROUP)
    if num_groups < MIN_LEVELS:
        return None
    arms = arms.assign(group=in_groups(arms["level"], num_groups))
    parts = grouped_estimates(arms, ["group"], "score")
    if len(parts) < MIN_LEVELS:
        return None
    parts["level"] = parts["group"].astype(str).map(arms.groupby("group", observed=True)["level"].median())
    rows = [
        {
            "level": part["level"],
            "value": part["mean"],
            **{name: quantity(results.facts.study.metric).cut(part[name]) for name in ("low", "high")},
            "n": part["n"],
        }
        for part in parts.to_dict("records")
    ]
    return _sorted_panel(results, factor, "", rows, None)


def _sorted_panel(
    results: StudyTables, factor: str, context: str, rows: list[dict[str, Any]], reference: float | None
) -> Panel:
    rows = sorted(rows, key=lambda row: float(row["level"]))
    for row in rows:
        row |= {name: json_number(row[name]) for name in ("low", "high")}
    counts = sorted({row["n"] for row in rows})
    n = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    levels = np.array([row["level"] for row in rows])
    study = results.facts.study
    label = factor_label(factor, study.factors)
    return Panel(
        title=f"{arm_label(label, context)}  (n = {n})",
        axis=label,
        is_log=factor in study.log_factors or is_logarithmic(levels),
        rows=rows,
        reference=reference,
    )
