"""Marginal effects: the effect of each level of a numeric factor against its reference level."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from analysis.figures.shown import trials_text
from analysis.figures.theme import BLUE, Chart, Record, Rows, data, level_scale, numbers, rows_of, rules, title_lines
from analysis.statistics.levels import factor_label, is_logarithmic, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import interval_name, quantity
from cktf.names import arm_label

MAX_PANELS = 6
"""Largest number of panels, each of one factor in one context."""

MIN_LEVELS = 3
"""Fewest levels of a factor that is drawn; two are one effect, which the forest shows."""


@dataclass(frozen=True)
class Panel:
    """One factor, in one context.

    Attributes:
        title: The context and the factor, and the n of each point.
        axis: Title of the horizontal axis: the factor.
        is_log: Whether this axis is logarithmic.
        rows: ``level``, ``value``, ``low``, ``high`` (None where there is none), ``n``, levels ascending.
        reference: The reference level, whose value is 0 by definition.
    """

    title: str
    axis: str
    is_log: bool
    rows: Rows
    reference: float


@dataclass(frozen=True, kw_only=True)
class Marginals(Record):
    """Record of marginal effects, in panels."""

    panels: list[Panel]


def record(results: StudyTables, factors: Sequence[str] = ()) -> Marginals | None:
    """Return the panels of these factors, by default of all numeric ones; None if none has results at three levels."""
    study = results.facts.study
    numeric = [name for name in factors or study.factors if is_numeric(results.trials[f"param.{name}"])]
    found = [_panel(results, name, context) for context in results.contexts for name in numeric]
    panels = [panel for panel in found if panel is not None]
    if not panels:
        return None
    has_intervals = any(row["low"] is not None for panel in panels for row in panel.rows)
    is_grid = study.design == "grid"
    caption = (
        "Effect of each level against the reference level (hollow, 0 by definition) at the same seeds"
        + (f", with its {interval_name(results.interactions if is_grid else results.against_baseline)}" * has_intervals)
        + (", averaged over the other factors of the grid" if is_grid else "")
        + f"; better is {'up' if study.maximise else 'down'}; "
        + f"n counts {trials_text(results) if is_grid else 'the pairs'}."
    )
    if len(panels) > MAX_PANELS:
        caption += f" {MAX_PANELS} of {len(panels)} are drawn; the others can be named."
    return Marginals(axis=quantity(study.report_metric).effect_label, panels=panels[:MAX_PANELS], caption=caption)


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
    x = alt.X(
        "level:Q",
        title=panel.axis,
        scale=level_scale(is_log=panel.is_log, padding=14),
        axis=alt.Axis(format="~g", grid=False, labelOverlap=True, values=levels),
    )
    base = alt.Chart(data(panel.rows)).encode(x=x)
    line = base.mark_line(color=BLUE, strokeWidth=1.25, opacity=0.7).encode(y=y)
    interval = base.mark_rule(color=BLUE, strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q")
    point = base.mark_point(color=BLUE, size=60, strokeWidth=2, opacity=1, filled=False).encode(
        y=y,
        fill=alt.condition(f"datum.level === {panel.reference!r}", alt.value("transparent"), alt.value(BLUE)),
        tooltip=[alt.Tooltip("level:Q", title=panel.axis, format="~g"), *numbers("value", "low", "high"), "n:Q"],
    )
    zero = rules("y", "zero", [0], [3, 3])
    return alt.layer(zero, line, interval, point).properties(width=220, height=160, title=panel.title)


def _panel(results: StudyTables, factor: str, context: str) -> Panel | None:
    """Return the panel of a factor's levels against the reference level; None if too few levels have results."""
    if results.facts.study.design == "grid":  # averaged over the other factors
        found = results.interactions
        found = found[(found["kind"] == "main") & (found["factor"] == factor) & (found["context"] == context)]
        # The name of a contrast ends in its level.
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
    points = points.astype({"n": int}).sort_values("level", kind="stable")
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
