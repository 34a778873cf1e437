"""Learning curves: in each panel an arm's mean over seeds with its 95% band, and the baseline's behind it."""

from dataclasses import dataclass

import altair as alt
import numpy as np

from analysis.figures.shown import MAX_PANELS, by_seed, in_panels, largest_effects, left_out, panel_title
from analysis.figures.theme import BLUE, GREY, LINE_LEGEND, Record, Rows, by_kind, epoch_axis, numbers, rows_of
from analysis.statistics.any_table import complete, of_fixed_arms
from analysis.statistics.intervals import grouped_estimates
from analysis.study_tables import StudyTables
from analysis.wording import brief, capitalised, quantity

ARM, BASELINE = "arm", "baseline"


@dataclass(frozen=True, kw_only=True)
class Curves(Record):
    """Record of curves; rows: ``panel``, ``series`` (arm or baseline), ``epoch``, ``n``, ``mean``, ``low``, ``high``.

    Attributes:
        domain: Ends of the vertical scale that all panels share, at which bands are cut; None if each panel has its
            own, since there are several contexts.
    """

    domain: tuple[float, float] | None


def record(results: StudyTables) -> Curves | None:
    """Return the learning curves of all arms, without those that a search tried; None if no arm has a curve."""
    study = results.facts.study
    trials = complete(of_fixed_arms(results.trials), study.report_metric)
    epochs = results.epochs[results.epochs["trial_id"].isin(trials["trial_id"])]
    is_scored = epochs[study.metric].notna()
    unscored_phases = list(dict.fromkeys(epochs.loc[~is_scored, "phase"]))
    epochs = epochs[epochs[study.metric].abs().lt(np.inf)]  # JSON has no infinity
    if epochs.empty:
        return None
    curves = grouped_estimates(by_seed(epochs, [study.metric]), ["arm_id", "epoch"], study.metric)
    planned = trials[trials["arm_id"].isin(curves["arm_id"])].drop_duplicates("arm_id")
    contexts = dict(zip(planned["arm_id"], planned["context"], strict=True))
    names = dict(zip(planned["arm_id"], planned["arm"], strict=True))
    # Without effects there is the baseline alone, or arms whose baseline has no results yet.
    compared = results.against_baseline[results.against_baseline["arm_id"].isin(names)]
    shown = list(largest_effects(compared, MAX_PANELS)["arm_id"]) or list(names)[:MAX_PANELS]
    rows: Rows = []
    measured = quantity(study.metric)
    curves[["low", "high"]] = curves[["low", "high"]].map(measured.cut)  # with two seeds, they may reach far
    curves[["mean", "low", "high"]] = curves[["mean", "low", "high"]].map(brief)
    for arm_id in shown:
        arm = curves[curves["arm_id"] == arm_id]
        panel = panel_title(names[arm_id], contexts[arm_id], arm["n"].max())
        sides = [(ARM, arm)]
        baseline = study.baseline_of(contexts[arm_id])
        if arm_id != baseline:
            sides.insert(0, (BASELINE, curves[curves["arm_id"] == baseline]))
        for series, curve in sides:
            points = curve[["epoch", "n", "mean", "low", "high"]]
            rows += rows_of(points.assign(panel=panel, series=series))
    has_bands = any(row["low"] is not None for row in rows)
    caption = (
        f"{capitalised(measured.name)} after each epoch: mean over complete trials"
        f"{' with its 95% interval' if has_bands else ''} (solid), and the baseline (dashed, grey)."
    )
    shares_axis = len(set(contexts.values())) == 1
    if shares_axis:
        caption += " Bands are cut at the panel's edge." if has_bands else ""
    else:
        caption += " The baseline is that of the same context, and each panel has its own scale."
    if unscored_phases:
        caption += f" Epochs are counted from the first phase on; phase {' and '.join(unscored_phases)} gives no value."
    if compared.empty and len(shown) < len(names):
        caption += f" Only the first {len(shown)} arms are drawn, of {len(names)}."
    caption += left_out(len(shown), len(compared))
    return Curves(axis=measured.label, rows=rows, domain=_domain(rows) if shares_axis else None, caption=caption)


def chart(curves: Curves) -> alt.FacetChart:
    """Return the drawing."""
    kinds = by_kind("series", {ARM: (BLUE, [1, 0]), BASELINE: (GREY, [5, 3])}, "color strokeDash", legend=LINE_LEGEND)
    domain = list(curves.domain) if curves.domain else alt.Undefined
    axis = alt.Axis(labelFlush=curves.domain is None)
    y = alt.Y("mean:Q", title=curves.axis, scale=alt.Scale(zero=False, domain=domain, clamp=True), axis=axis)
    base = alt.Chart().encode(x=alt.X("epoch:Q", title="epoch", axis=epoch_axis(curves.rows)), color=kinds["color"])
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=curves.axis), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(
        y=y, strokeDash=kinds["strokeDash"], tooltip=["series:N", "epoch:Q", *numbers("mean", "low", "high")]
    )
    return in_panels([band, line], curves.rows, shares_axis=curves.domain is not None)


def _domain(rows: Rows) -> tuple[float, float]:
    """Return the ends of a scale that holds all means, and the intervals after the last epoch.

    Intervals of early epochs and few seeds may be so wide that the curves would look flat.
    """
    last = max(row["epoch"] for row in rows)
    held = [row["mean"] for row in rows]
    held += [row[end] for row in rows if row["epoch"] == last for end in ("low", "high") if row[end] is not None]
    margin = 0.05 * (max(held) - min(held)) or 1.0  # with a single value, a scale around it
    return min(held) - margin, max(held) + margin
