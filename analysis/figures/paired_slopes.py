"""Paired slopes: at every seed, the line from the baseline's score to the arm's, a panel an arm."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.figures.arms import MAX_PANELS, in_panels, largest_effects, left_out, panel_title
from analysis.figures.theme import BLUE, GREY, INK
from analysis.statistics.any_table import complete, reported
from analysis.study_tables import StudyTables
from analysis.wording import quantity

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

MAX_SEEDS = 50
"""Lines of one panel; more could not be told apart. The mean is that of all seeds."""

BASELINE, ARM = "baseline", "arm"
BETTER, NOT_BETTER, MEAN = "better at this seed", "not better", "mean"


@dataclass(frozen=True)
class Slopes:
    """What is drawn.

    Attributes:
        axis: Title of the vertical axis, with its unit.
        panels: Titles of the panels, one an arm, in order.
        rows: ``panel``, ``seed`` (a text; ``mean`` for the mean), ``kind`` (of the line), ``side``, ``score``.
        shares_axis: Whether all panels have one vertical scale; those of several contexts have their own.
        caption: What to read.
    """

    axis: str
    panels: list[str]
    rows: list[dict[str, Any]]
    shares_axis: bool
    caption: str


def record(results: StudyTables) -> Slopes | None:
    """Return the slopes to be drawn; None where no arm shares a complete seed with its baseline."""
    study = results.facts.study
    effects = results.effects[results.effects["n_pairs"] > 0]
    if effects.empty:
        return None
    finished = complete(reported(results.trials), study.report_metric)
    scores = finished.pivot(index="seed", columns="arm_id", values=study.report_metric)
    drawn = largest_effects(effects, MAX_PANELS)
    panels, rows = [], []
    for effect in drawn.to_dict("records"):
        panel = panel_title(effect["arm"], effect["context"], effect["n_pairs"])
        pairs = scores[[study.baseline_of(effect["context"]), effect["arm_id"]]].dropna()
        panels.append(panel)
        rows += _lines(pairs, panel, maximise=study.maximise)
    measured = quantity(study.report_metric)
    caption = (
        f"{measured.name.capitalize()} of the baseline and of the arm at the same seed, joined by a line: blue and "
        "solid where the arm is better, grey and dashed where it is not. The thick line joins the means; n counts the "
        f"pairs.{left_out(len(drawn), len(effects))}"
    )
    shares_axis = effects["context"].nunique() == 1
    if not shares_axis:
        caption += " The baseline is that of the same context, and each panel has its own scale."
    if effects["n_pairs"].max() > MAX_SEEDS:
        caption += f" Of an arm's pairs, the first {MAX_SEEDS} are drawn; the mean is that of all."
    return Slopes(measured.label, panels, rows, shares_axis, caption)


def chart(slopes: Slopes) -> "alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X(
            "side:N",
            title=None,
            sort=[BASELINE, ARM],
            scale=alt.Scale(padding=0.3),
            axis=alt.Axis(labelAngle=0, grid=False),
        ),
        y=alt.Y("score:Q", title=slopes.axis, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
        detail="seed:N",
        tooltip=["seed:N", "side:N", alt.Tooltip("score:Q", format=".3f")],
    )
    kinds = [BETTER, NOT_BETTER]
    seeds = (
        base.transform_filter(f"datum.kind !== '{MEAN}'")
        .mark_line(strokeWidth=1.25)
        .encode(
            color=alt.Color("kind:N", legend=None, scale=alt.Scale(domain=kinds, range=[BLUE, GREY])),
            strokeDash=alt.StrokeDash("kind:N", legend=None, scale=alt.Scale(domain=kinds, range=[[1, 0], [4, 3]])),
        )
    )
    mean = base.transform_filter(f"datum.kind === '{MEAN}'").mark_line(color=INK, strokeWidth=3)
    return in_panels([seeds, mean], slopes.rows, slopes.panels, shares_axis=slopes.shares_axis)


def _lines(pairs: "pd.DataFrame", panel: str, *, maximise: bool) -> list[dict[str, Any]]:
    """Return both ends of each line, those of the mean last."""
    ends = []
    for seed, baseline, arm in pairs.head(MAX_SEEDS).itertuples():
        is_better = (arm > baseline) if maximise else (arm < baseline)
        ends.append((str(seed), BETTER if is_better else NOT_BETTER, baseline, arm))
    ends.append((MEAN, MEAN, *pairs.mean()))
    return [
        {"panel": panel, "seed": seed, "kind": kind, "side": side, "score": round(float(score), 4)}
        for seed, kind, *scores in ends
        for side, score in zip((BASELINE, ARM), scores, strict=True)
    ]
