"""Paired slopes: for every seed a line from the baseline's score to the arm's, in one panel for each arm."""

from dataclasses import dataclass

import altair as alt
import pandas as pd

from analysis.figures.shown import MAX_PANELS, in_panels, largest_effects, left_out, panel_title
from analysis.figures.theme import BLUE, GREY, INK, LINE_LEGEND, Record, Rows, by_kind, numbers
from analysis.statistics.any_table import complete, reported
from analysis.study_tables import StudyTables
from analysis.wording import brief, capitalised, comparison_names, quantity

MAX_SEEDS = 50
"""Largest number of lines in a panel; more could not be told apart. The mean is that of all seeds."""

ARM = "arm"
"""Label of the right ends of the lines; on the left is what the arm is compared with."""

BETTER, NOT_BETTER, MEAN = "better at this seed", "not better", "mean"


@dataclass(frozen=True, kw_only=True)
class Slopes(Record):
    """Record of slopes; rows have ``panel``, ``seed`` (or ``mean``), ``kind`` (of the line), ``side`` and ``score``.

    Attributes:
        other: Label of the side that arms are compared with.
        shares_axis: Whether all panels have one vertical scale; those of several contexts have their own.
    """

    other: str
    shares_axis: bool


def record(results: StudyTables) -> Slopes | None:
    """Return the slopes to be drawn; None where no arm shares a complete seed with its baseline."""
    study = results.facts.study
    effects = results.effects_by_level
    effects = effects[effects["n_pairs"] > 0]
    if effects.empty:
        return None
    finished = complete(reported(results.trials), study.report_metric)
    scores = finished.pivot(index="seed", columns="arm_id", values=study.report_metric)
    drawn = largest_effects(effects, MAX_PANELS).assign(name=lambda rows: comparison_names(rows))
    other = "baseline" if effects["against_baseline"].all() else "other side"
    rows = []
    for effect in drawn.to_dict("records"):
        panel = panel_title(effect["name"], effect["context"], effect["n_pairs"])
        pairs = scores[[effect["against_id"], effect["arm_id"]]].dropna()
        rows += _lines(pairs, panel, other, maximise=study.maximise)
    measured = quantity(study.report_metric)
    caption = (
        f"{capitalised(measured.name)} of the {other} and of the arm at the same seed, joined by a line: blue and "
        "solid where the arm is better, grey and dashed where it is not. The thick line joins the means; n counts the "
        f"pairs.{left_out(len(drawn), len(effects))}"
    )
    shares_axis = effects["context"].nunique() == 1
    if not shares_axis:
        caption += f" The {other} is that of the same context, and each panel has its own scale."
    if effects["n_pairs"].max() > MAX_SEEDS:
        caption += f" Of an arm's pairs, the first {MAX_SEEDS} are drawn; the mean is that of all."
    return Slopes(axis=measured.label, rows=rows, other=other, shares_axis=shares_axis, caption=caption)


def chart(slopes: Slopes) -> alt.FacetChart:
    """Return the drawing."""
    sides = alt.Axis(labelAngle=0, grid=False)
    base = alt.Chart().encode(
        x=alt.X("side:N", title=None, sort=[slopes.other, ARM], scale=alt.Scale(padding=0.3), axis=sides),
        y=alt.Y(
            "score:Q",
            title=slopes.axis,
            scale=alt.Scale(zero=False),
            axis=alt.Axis(tickCount=5, labelFlush=not slopes.shares_axis),
        ),
        detail="seed:N",
        tooltip=["seed:N", "side:N", *numbers("score")],
    )
    looks = {BETTER: (BLUE, [1, 0]), NOT_BETTER: (GREY, [4, 3]), MEAN: (INK, [1, 0])}
    base = base.encode(**by_kind("kind", looks, "color strokeDash", legend=LINE_LEGEND))
    seeds = base.transform_filter(f"datum.kind !== '{MEAN}'").mark_line(strokeWidth=1.25)
    mean = base.transform_filter(f"datum.kind === '{MEAN}'").mark_line(strokeWidth=3)
    return in_panels([seeds, mean], slopes.rows, shares_axis=slopes.shares_axis)


def _lines(pairs: pd.DataFrame, panel: str, other: str, *, maximise: bool) -> Rows:
    """Return both ends of each line, those of the mean last."""
    ends = []
    for seed, baseline, arm in pairs.head(MAX_SEEDS).itertuples():
        is_better = (arm > baseline) if maximise else (arm < baseline)
        ends.append((str(seed), BETTER if is_better else NOT_BETTER, baseline, arm))
    ends.append((MEAN, MEAN, *pairs.mean()))
    return [
        {"panel": panel, "seed": seed, "kind": kind, "side": side, "score": brief(score)}
        for seed, kind, *scores in ends
        for side, score in zip((other, ARM), scores, strict=True)
    ]
