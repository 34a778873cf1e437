"""Forest plot of effects: every arm against the baseline, with its interval and a line at zero."""

from dataclasses import dataclass

import altair as alt
import numpy as np
from scipy import stats

from analysis.figures.shown import IN_LINES, largest_effects, left_out, panel_title
from analysis.figures.theme import BLUE, WIDTH, Chart, Record, by_kind, data, numbers, rows_of, rules, title_lines
from analysis.statistics.paired import WELCH, direction
from analysis.study_tables import StudyTables
from analysis.wording import comparison_names, quantity, simultaneous_text
from cktf.names import arm_label
from cktf.rows import Family
from cktf.verdicts import LEVEL, Verdict

MAX_ARMS = 60
"""Largest number of rows that are drawn."""

SHAPES = {
    Verdict.HELPS: "triangle-up",
    Verdict.HURTS: "triangle-down",
    Verdict.EQUIVALENT: "square",
    Verdict.NOT_WORSE: "triangle-right",
    Verdict.NOT_BETTER: "triangle-left",
    Verdict.FAILED: "cross",
    Verdict.UNDECIDED: "circle",
}
"""Shapes of the points, so that a verdict can be read without colours; that of an undecided arm is hollow."""

ENDS, SIMULTANEOUS = ("low", "high"), ("low_simultaneous", "high_simultaneous")
"""Columns of the interval of one comparison alone, and of the one that holds together with all others."""

FARTHEST = 0.5
"""How far thin intervals are drawn beyond all thick ones, as a share of their span: with few seeds they are huge."""

LINE = 14
"""Height of a line of a label, in pixels."""

_RISE = f"{-LINE / 2:g} * (length(split(datum.value, '\\n')) - 1)"
"""Expression for how far a label of several lines must move for its middle to stand at its point; up is negative."""


@dataclass(frozen=True, kw_only=True)
class Forest(Record):
    """Record of a forest plot.

    Each row has ``label`` (name and n, in lines), ``arm``, ``n``, ``effect``, ``low``, ``high``, the ends of the
    simultaneous interval, the same cut for drawing, ``thin_low`` and ``thin_high``, and ``verdict``.

    Attributes:
        edges: -delta and delta, delta being the smallest effect that matters; or the margin; or empty.
    """

    edges: list[float]


def record(results: StudyTables) -> Forest | None:
    """Return the effects to be drawn; None where no arm is compared with a baseline."""
    effects = results.effects_by_level
    if effects.empty or effects["effect"].isna().all():
        return None
    study = results.facts.study
    shown = largest_effects(effects, MAX_ARMS).rename(columns={"n_arm": "n"})
    low, high = (shown[name] for name in SIMULTANEOUS)  # infinite with few seeds
    shown = shown.replace([np.inf, -np.inf], np.nan)
    shown_share = float(shown["confidence"].iloc[0])
    has_thick = study.delta and not results.facts.is_looked_at
    if has_thick:  # draw the interval that goes with equivalent
        half, shares = (shown["high"] - shown["low"]) / 2, (1 - 2 * LEVEL, shown_share)
        narrow, wide = (stats.t.ppf((1 + share) / 2, shown["df"]) for share in shares)
        half, shown_share = half * narrow / wide, shares[0]
        shown = shown.assign(low=shown["effect"] - half, high=shown["effect"] + half)
    ends = shown[["effect", *ENDS]]
    least, most = min(ends.min().min(), 0), max(ends.max().max(), 0)
    margin = FARTHEST * (most - least)
    thin = {"thin_low": low.clip(lower=least - margin), "thin_high": high.clip(upper=most + margin)}
    is_cut = (thin["thin_low"] > low).any() or (thin["thin_high"] < high).any()
    names = ["arm", "context", "n", "effect", *ENDS, *SIMULTANEOUS, *thin, "verdict"]
    rows = rows_of(shown.assign(**thin, arm=comparison_names(shown))[names])
    for row in rows:
        context = row.pop("context")
        row |= {"label": panel_title(row["arm"], context, row["n"]), "arm": arm_label(row["arm"], context)}
    sign = direction(study.alternative, maximise=study.maximise)
    bound = sign * study.margin
    interval, reading = ", of too few seeds for an interval", ""
    if effects["low"].notna().any():
        of_each, count = (2 if sign else 1) * LEVEL, int(effects["n_family"].max())
        interval = f", with its {shown_share:.0%} interval"
        if count > 1 and low.notna().any():
            each = simultaneous_text(effects, of_each)
            of_context = " of a context" if study.family == Family.CONTEXT else ""
            interval += f", and thin the {each} intervals that hold all together{of_context}"
            reading = f" An effect whose thin interval {'leaves out 0 is told from it' if not sign else ''}"
            reading += f"lies {'above' if sign > 0 else 'below'} {bound:g} is decided" if sign else ""
            reading += "; Holm's method may tell more."
        if has_thick:
            reading += " Equivalent goes with the 90% interval."
    together = "arms together" if study.family == Family.STUDY else "arms of a context together"
    without = any(row["effect"] is None for row in rows)
    other = "the baseline" if effects["against_baseline"].all() else "the other arm"
    is_paired = effects["n_pairs"].any()
    at_seeds, counted = (" at the same seeds", "the pairs") if is_paired else ("", "the arm's values")
    if is_paired and effects["test"].str.startswith(WELCH).any():
        at_seeds, counted = "", "the pairs or, where two arms have no seed in common, the arm's values"
    of_same = " of the same context" if effects["context"].nunique() > 1 else ""
    return Forest(
        axis=quantity(study.report_metric).effect_label,
        rows=rows,
        edges=[-study.delta, study.delta] if study.delta else [bound] if study.margin else [],
        caption=f"Mean difference from {other}{of_same}{at_seeds}{interval}; n counts {counted}. "
        f"Better is to the {'right' if study.maximise else 'left'} of the line. A filled point is decided, at the "
        f"level {LEVEL} for all {together}.{reading}"
        f"{' Thin lines that reach the edge go on beyond it.' if is_cut else ''}"
        f"{' The outer lines are at ±delta, the smallest effect that matters.' if study.delta else ''}"
        f"{' The outer line is at the margin.' if study.margin else ''}"
        f"{f' An arm without a point shares no complete seed with {other}.' if without else ''}"
        f"{left_out(len(rows), len(effects))}",
    )


def chart(forest: Forest) -> Chart:
    """Return the drawing."""
    labels = [row["label"] for row in forest.rows]
    present = {row["verdict"] for row in forest.rows}
    looks = {
        word: ("transparent" if word == Verdict.UNDECIDED else BLUE, SHAPES[word]) for word in SHAPES if word in present
    }
    names = alt.Axis(ticks=False, domain=False, labelExpr=IN_LINES, labelOffset=alt.ExprRef(_RISE))
    y = alt.Y("label:N", title=None, sort=labels, scale=alt.Scale(domain=labels), axis=names)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("n:Q"), alt.Tooltip("verdict:N")]
    tooltip += numbers("effect", *ENDS, *SIMULTANEOUS, form="+.6~g")
    base = alt.Chart(data(forest.rows)).encode(y=y, tooltip=tooltip)
    title = title_lines(forest.axis)
    signed = alt.Axis(labelExpr="datum.value === 0 ? '0' : format(datum.value, '+~g')", tickCount=6)
    interval, thin = (
        base.mark_rule(color=BLUE, **look).encode(x=alt.X(f"{low}:Q", title=title), x2=f"{high}:Q")
        for (low, high), look in (
            (ENDS, {"strokeWidth": 2}),
            (("thin_low", "thin_high"), {"strokeWidth": 1, "opacity": 0.6}),
        )
    )
    point = base.mark_point(size=80, color=BLUE, opacity=1, strokeWidth=2).encode(
        x=alt.X("effect:Q", title=title, scale=alt.Scale(padding=12), axis=signed),
        **by_kind("verdict", looks, "fill shape"),
    )
    has_thin = any(row["thin_low"] is not None or row["thin_high"] is not None for row in forest.rows)
    layers = [rules("x", "zero", [0], [3, 3]), *([thin] if has_thin else []), interval, point]
    if forest.edges:
        layers.append(rules("x", "edge", forest.edges, [1, 3]))
    row_height = max(26, 10 + LINE * max(label.count("\n") + 1 for label in labels))
    return alt.layer(*layers).properties(width=WIDTH, height=row_height * len(labels))
