"""Critical-difference diagram: arms on an axis of mean ranks over contexts, bars over those not told apart.

After Demšar (2006, figure 1).
"""

from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from analysis.figures.theme import BLUE, INK, Chart, Record, Rows, data
from analysis.statistics.ranks import FRIEDMAN, alike
from analysis.study_tables import StudyTables
from analysis.wording import p_words
from cktf.verdicts import LEVEL

WIDTH = 640
"""Width of the figure in a file, in pixels, names included."""

LETTER = 6.6
"""Width of a letter of a name, in pixels, about."""

WIDEST_NAMES = 0.36
"""Share of the width that the names on one side take at most."""

BAR_STEP, ARM_STEP, GAP = 9, 19, 14
"""Heights, in pixels: from one row of bars to the next, from arm to arm, and around the axis."""


@dataclass(frozen=True, kw_only=True)
class Diagram(Record):
    """What is drawn; each row has ``arm`` and ``rank`` (mean over the contexts), the best first.

    Attributes:
        bars: First and last mean rank of each longest run of arms that are not told apart.
        critical_difference: Of mean ranks; None where Friedman's test told no arms apart, so that none are compared.
        num_contexts: In which the arms are ranked.
    """

    bars: list[tuple[float, float]]
    critical_difference: float | None
    num_contexts: int


def record(results: StudyTables) -> Diagram | None:
    """Return the diagram's data; None if the ranks were not tested by Friedman's test."""
    ranks = results.ranks
    ranked = ranks[ranks["test"] == FRIEDMAN]
    if ranked.empty:
        return None
    first = ranked.iloc[0]
    mean_ranks = [float(rank) for rank in ranked["mean_rank"]]
    difference = float(first["critical_difference"]) if first["friedman_p"] < LEVEL else None
    runs = alike(np.array(mean_ranks), np.inf if difference is None else difference)
    left_out = ", ".join(ranks.loc[ranks["test"] != FRIEDMAN, "arm"])
    joined = (
        f"Arms under one bar are not told apart by Nemenyi's test at {LEVEL}: their mean ranks differ by less than the "
        "critical difference"
        if difference is not None
        else "The bar over all arms says that none are told apart"
    )
    return Diagram(
        rows=[{"arm": arm, "rank": rank} for arm, rank in zip(ranked["arm"], mean_ranks, strict=True)],
        bars=[(mean_ranks[begin], mean_ranks[end]) for begin, end in runs],
        critical_difference=difference,
        num_contexts=int(first["n_blocks"]),
        caption=f"Mean ranks of {len(ranked)} arms over n = {first['n_blocks']} contexts; 1, the best, is on the "
        f"right. {joined}. Friedman's test: {p_words(first['friedman_p'])}."
        f"{f' Not ranked, since missing in a context: {left_out}.' if left_out else ''}",
    )


def chart(diagram: Diagram) -> Chart:
    """Return the drawing: each arm hangs at its mean rank, the better ones to the right."""
    num_arms = len(diagram.rows)
    better, worse = diagram.rows[: num_arms // 2], diagram.rows[num_arms // 2 :][::-1]
    longest = max(len(_named(arm)) for arm in diagram.rows)
    names = min(WIDEST_NAMES, (LETTER * longest + GAP) / WIDTH)
    margin = (num_arms - 1) * names / (1 - 2 * names)
    near = margin * GAP / (WIDTH * names)  # between a name and the end of its line, in ranks
    levels = _levels(diagram.bars)
    depth = GAP + BAR_STEP * (max(levels, default=-1) + 1)
    bars = [
        {"x": first - near / 2, "x2": last + near / 2, "y": -GAP - BAR_STEP * level}
        for (first, last), level in zip(diagram.bars, levels, strict=True)
    ]
    lines: list[dict[str, float]] = [{"x": 1, "x2": num_arms, "y": 0, "y2": 0}]
    lines += [{"x": rank, "x2": rank, "y": 0, "y2": 5} for rank in range(1, num_arms + 1)]
    labels: dict[str, Rows] = {"left": [], "right": []}
    for side, arms, end in (("left", better, 1 - near), ("right", worse, num_arms + near)):
        for row, arm in enumerate(arms):
            x, y = arm["rank"], -depth - ARM_STEP * (row + 0.5)
            lines += [{"x": x, "x2": x, "y": 0, "y2": y}, {"x": x, "x2": end, "y": y, "y2": y}]
            labels[side].append({**arm, "text": _named(arm), "x": end, "y": y})
    height = depth + ARM_STEP * len(worse)
    # Of many ranks, every second or third is written at the axis, and the last.
    step = 1 + (num_arms - 1) // 12
    written = [*range(1, num_arms + 1 - step, step), num_arms]
    words: Rows = [{"x": rank, "y": 5 + GAP / 2, "text": str(rank)} for rank in written]
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

    place: dict[str, Any] = {
        "x": alt.X("x:Q", axis=None, scale=alt.Scale(domain=[num_arms + margin, 1 - margin], nice=False, zero=False)),
        "y": alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-height, top], nice=False, zero=False)),
    }
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("rank:Q", title="mean rank", format=".2f")]
    layers: list[alt.Chart] = [
        alt.Chart(data(lines)).mark_rule(color=INK, opacity=0.8).encode(**place, x2="x2:Q", y2="y2:Q"),
        alt.Chart(data(bars)).mark_rule(color=BLUE, strokeWidth=5).encode(**place, x2="x2:Q"),
        alt.Chart(data(words)).mark_text(color=INK, fontSize=12).encode(**place, text="text:N"),
    ]
    for side, shift in (("left", 4), ("right", -4)):
        text_look: Any = {"align": side, "dx": shift, "color": INK, "fontSize": 12, "limit": WIDEST_NAMES * WIDTH}
        names_of_side = alt.Chart(data(labels[side])).mark_text(**text_look)
        layers.append(names_of_side.encode(**place, text="text:N", tooltip=tooltip))
    return alt.layer(*layers).properties(width=WIDTH, height=height + top)


def _named(arm: dict[str, Any]) -> str:
    """Return what stands at the end of an arm's line: as much of its name as there is room for, and its rank."""
    rank = f" ({arm['rank']:.2f})"
    room = int(WIDEST_NAMES * WIDTH / LETTER) - len(rank)
    name = arm["arm"]
    return (name if len(name) <= room else f"{name[: room - 1]}…") + rank


def _levels(bars: list[tuple[float, float]]) -> list[int]:
    """Return the level of each bar, the first that is free there."""
    ends: list[float] = []
    levels = []
    for first, last in bars:
        level = next((level for level, end in enumerate(ends) if end < first), len(ends))
        ends[level : level + 1] = [last]
        levels.append(level)
    return levels
