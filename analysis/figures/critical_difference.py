"""Critical-difference diagram: arms on an axis of mean ranks over contexts, bars over those not told apart.

After Demšar (2006, figure 1).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.theme import BLUE, INK, data
from analysis.statistics.ranks import FRIEDMAN, alike
from analysis.statistics.verdicts import LEVEL
from analysis.study_tables import StudyTables
from analysis.wording import p_words

if TYPE_CHECKING:
    import altair as alt

WIDTH = 640
"""Width of the figure in a file, in pixels, names included."""

LETTER = 6.6
"""Width of a letter of a name, in pixels, about."""

WIDEST_NAMES = 0.36
"""Share of the width that the names on one side take at most."""

BAR_STEP, ARM_STEP, GAP = 9, 19, 14
"""Heights, in pixels: from one row of bars to the next, from arm to arm, and around the axis."""

Segment = dict[str, float]


@dataclass(frozen=True)
class Diagram:
    """What is drawn.

    Attributes:
        arms: ``arm``, ``rank`` (mean over the contexts), the best first.
        bars: First and last mean rank of each longest run of arms that are not told apart.
        critical_difference: Of mean ranks; None where Friedman's test told no arms apart, so that none are compared.
        num_contexts: In which the arms are ranked.
        caption: What to read.
    """

    arms: list[dict[str, Any]]
    bars: list[tuple[float, float]]
    critical_difference: float | None
    num_contexts: int
    caption: str


def record(results: StudyTables) -> Diagram | None:
    """Return the diagram's data; None if the ranks were not tested by Friedman's test."""
    ranks = results.ranks
    ranked = ranks[ranks["test"] == FRIEDMAN]
    if ranked.empty:
        return None
    first = ranked.iloc[0]
    mean_ranks = ranked["mean_rank"].to_numpy(np.float64)
    difference = float(first["critical_difference"]) if first["friedman_p"] < LEVEL else None
    runs = alike(mean_ranks, np.inf if difference is None else difference)
    left_out = ", ".join(ranks.loc[ranks["test"] != FRIEDMAN, "arm"])
    joined = (
        f"Arms under one bar are not told apart by Nemenyi's test at {LEVEL}: their mean ranks differ by less than the "
        "critical difference"
        if difference is not None
        else "The bar over all arms says that none are told apart"
    )
    return Diagram(
        arms=[{"arm": arm, "rank": float(rank)} for arm, rank in zip(ranked["arm"], mean_ranks, strict=True)],
        bars=[(float(mean_ranks[begin]), float(mean_ranks[end])) for begin, end in runs],
        critical_difference=difference,
        num_contexts=int(first["n_blocks"]),
        caption=f"Mean ranks of {len(ranked)} arms over n = {first['n_blocks']} contexts; 1, the best, is on the "
        f"right. {joined}. Friedman's test: {p_words(first['friedman_p'])}."
        f"{f' Not ranked, since missing in a context: {left_out}.' if left_out else ''}",
    )


def chart(diagram: Diagram) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing: each arm hangs at its mean rank, the better ones to the right."""
    import altair as alt

    num_arms = len(diagram.arms)
    better, worse = diagram.arms[: num_arms // 2], diagram.arms[num_arms // 2 :][::-1]
    longest = max(len(_named(arm)) for arm in diagram.arms)
    names = min(WIDEST_NAMES, (LETTER * longest + GAP) / WIDTH)
    margin = (num_arms - 1) * names / (1 - 2 * names)
    near = margin * GAP / (WIDTH * names)  # between a name and the end of its line, in ranks
    rows = _rows(diagram.bars)
    depth = GAP + BAR_STEP * (max(rows, default=-1) + 1)
    bars = [
        {"x": first - near / 2, "x2": last + near / 2, "y": -GAP - BAR_STEP * row}
        for (first, last), row in zip(diagram.bars, rows, strict=True)
    ]
    lines: list[Segment] = [{"x": 1, "x2": num_arms, "y": 0, "y2": 0}]
    lines += [{"x": rank, "x2": rank, "y": 0, "y2": 5} for rank in range(1, num_arms + 1)]
    labels: dict[str, list[dict[str, Any]]] = {"left": [], "right": []}
    for side, arms, end in (("left", better, 1 - near), ("right", worse, num_arms + near)):
        for row, arm in enumerate(arms):
            y = -depth - ARM_STEP * (row + 0.5)
            lines += [
                {"x": arm["rank"], "x2": arm["rank"], "y": 0, "y2": y},
                {"x": arm["rank"], "x2": end, "y": y, "y2": y},
            ]
            labels[side].append({**arm, "text": _named(arm), "x": end, "y": y})
    height = depth + ARM_STEP * len(worse)
    words = [{"x": rank, "y": 5 + GAP / 2, "text": str(rank)} for rank in _labelled(num_arms)]
    title = f"mean rank over n = {diagram.num_contexts} contexts"
    words.append({"x": (1 + num_arms) / 2, "y": 5 + 2 * GAP, "text": title})
    top = 5 + 2.5 * GAP
    if diagram.critical_difference is not None:
        top += 3 * GAP
        begin, end = num_arms, num_arms - diagram.critical_difference
        lines += [{"x": begin, "x2": end, "y": top - 2 * GAP, "y2": top - 2 * GAP}]
        lines += [{"x": edge, "x2": edge, "y": top - 2 * GAP - 4, "y2": top - 2 * GAP + 4} for edge in (begin, end)]
        text = f"critical difference {diagram.critical_difference:.2f}"
        words.append({"x": (begin + end) / 2, "y": top - GAP, "text": text})

    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[num_arms + margin, 1 - margin], nice=False, zero=False))
    y_of_all = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-height, top], nice=False, zero=False))
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("rank:Q", title="mean rank", format=".2f")]
    layers: list[alt.Chart] = [
        alt.Chart(data(lines)).mark_rule(color=INK, opacity=0.8).encode(x=x, x2="x2:Q", y=y_of_all, y2="y2:Q"),
        alt.Chart(data(bars)).mark_rule(color=BLUE, strokeWidth=5).encode(x=x, x2="x2:Q", y=y_of_all),
        alt.Chart(data(words)).mark_text(color=INK, fontSize=12).encode(x=x, y=y_of_all, text="text:N"),
    ]
    left, right = (alt.Chart(data(labels[side])) for side in ("left", "right"))
    for text_mark in (
        left.mark_text(align="left", dx=4, color=INK, fontSize=12, limit=WIDEST_NAMES * WIDTH),
        right.mark_text(align="right", dx=-4, color=INK, fontSize=12, limit=WIDEST_NAMES * WIDTH),
    ):
        layers.append(text_mark.encode(x=x, y=y_of_all, text="text:N", tooltip=tooltip))
    return alt.layer(*layers).properties(width=WIDTH, height=height + top)


def _named(arm: dict[str, Any]) -> str:
    """Return what stands at the end of an arm's line: as much of its name as there is room for, and its rank."""
    rank = f" ({arm['rank']:.2f})"
    room = int(WIDEST_NAMES * WIDTH / LETTER) - len(rank)
    name = arm["arm"]
    return (name if len(name) <= room else f"{name[: room - 1]}…") + rank


def _labelled(num_arms: int) -> list[int]:
    """Return the ranks that are written at the axis: all of a few, every second or third of many, and the last."""
    step = 1 + (num_arms - 1) // 12
    return [*range(1, num_arms + 1 - step, step), num_arms]


def _rows(bars: list[tuple[float, float]]) -> list[int]:
    """Return the row of each bar, the first that is free there."""
    ends: list[float] = []
    rows = []
    for first, last in bars:
        row = next((row for row, end in enumerate(ends) if end < first), len(ends))
        ends[row : row + 1] = [last]
        rows.append(row)
    return rows
