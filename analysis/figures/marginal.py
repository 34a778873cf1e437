"""Marginal effects: what a numeric factor does along its levels, whatever the other factors are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.shown import factor_order
from analysis.figures.theme import BLUE, Chart, Record, Rows, data, level_scale, numbers, rows_of, rules, title_lines
from analysis.statistics.intervals import grouped_estimates
from analysis.statistics.levels import factor_label, in_groups, is_logarithmic, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.names import arm_label
from cktf.rows import Stage

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
    rows: Rows
    reference: float | None


@dataclass(frozen=True, kw_only=True)
class Marginals(Record):
    """What is drawn, in panels."""

    panels: list[Panel]


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
    return Marginals(axis=axis, panels=panels[:MAX_PANELS], caption=caption)


def chart(marginals: Marginals) -> alt.ConcatChart:
    """Return the drawing."""
    rows = [row for panel in marginals.panels for row in panel.rows]
    ends = [row[name] for row in rows for name in ("low", "value", "high") if row[name] is not None]
    # Panels that stand side by side are compared, so they share a scale.
    scale = alt.Scale(domain=[min(ends), max(ends)], zero=False, nice=True, padding=8)
    y = alt.Y("value:Q", title=title_lines(marginals.axis), scale=scale)
    panels: alt.ConcatChart = alt.concat(*(_drawn(panel, y) for panel in marginals.panels), columns=2)
    return panels


def _drawn(panel: Panel, y: alt.Y) -> Chart:
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
        tooltip=[alt.Tooltip("level:Q", title=panel.axis, format="~g"), *numbers("value", "low", "high"), "n:Q"],
    )
    zero = [] if panel.reference is None else [rules("y", "zero", [0], [3, 3])]
    return alt.layer(*zero, line, interval, point).properties(width=220, height=160, title=panel.title)


def _designed(results: StudyTables, factor: str, context: str) -> Panel | None:
    """Return a factor's levels against the reference level, as the statistics of the design have it."""
    if results.facts.study.design == "grid":  # averaged over the other factors
        found = results.interactions
        found = found[(found["kind"] == "main") & (found["factor"] == factor) & (found["context"] == context)]
        # What a contrast is called ends in its level.
        levels, against = ([float(name.rpartition("=")[2]) for name in found[side]] for side in ("contrast", "against"))
        reference = against[0] if against else np.nan
        found = found.assign(level=levels)
    else:  # the arms that differ from the baseline by this factor alone
        arms = results.trials.drop_duplicates("arm_id").set_index("arm_id")[f"param.{factor}"].astype("float64")
        found = results.against_baseline
        found = found[(found["factor"] == factor) & (found["context"] == context)]
        reference = float(arms.get(results.facts.study.baseline_of(context), np.nan))
        found = found.assign(level=arms[found["arm_id"]].to_list(), n=found["n_pairs"])
    points = found.rename(columns={"effect": "value"})[["level", "value", "low", "high", "n"]]
    points = points.replace([np.inf, -np.inf], np.nan).dropna(subset=["level", "value"])
    if not np.isfinite(reference) or len(points) < MIN_LEVELS - 1:
        return None
    points.loc[-1] = {"level": reference, "value": 0.0, "low": np.nan, "high": np.nan, "n": points["n"].max()}
    return _panel(results, factor, context, points.astype({"n": int}), reference)


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
    for name in ("low", "high"):
        parts[name] = parts[name].map(quantity(results.facts.study.metric).cut)
    points = parts.rename(columns={"mean": "value"})[["level", "value", "low", "high", "n"]]
    return _panel(results, factor, "", points, None)


def _panel(results: StudyTables, factor: str, context: str, points: pd.DataFrame, reference: float | None) -> Panel:
    points = points.sort_values("level", kind="stable")
    fewest, most = points["n"].min(), points["n"].max()
    study = results.facts.study
    label = factor_label(factor, study.factors)
    return Panel(
        title=f"{arm_label(label, context)}  (n = {fewest}{f' to {most}' if most > fewest else ''})",
        axis=label,
        is_log=factor in study.log_factors or is_logarithmic(points["level"].to_numpy(np.float64)),
        rows=rows_of(points),
        reference=reference,
    )
