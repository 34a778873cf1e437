"""Mean ranks of arms over contexts with Nemenyi's critical difference: lines overlap if arms are not told apart.

The test is that of Demšar (2006). Each line reaches half a critical difference to both sides, so those of two arms
that differ significantly do not meet.
"""

import altair as alt

from analysis.figures.theme import BLUE, WIDTH, Chart, Record, data, numbers, rows_of
from analysis.statistics.ranks import FRIEDMAN
from analysis.study_tables import StudyTables
from analysis.wording import p_words
from cktf.verdicts import LEVEL


def record(results: StudyTables) -> Record | None:
    """Return the ranks to be drawn; None if they were not tested.

    Each row has ``arm``, ``rank`` (mean over the contexts) and ``low`` and ``high``, a critical difference apart, the
    best first. ``low`` and ``high`` are None if the test of all arms found no difference, so that no two are compared,
    or if arms stand in different contexts, so that there is no single critical difference.
    """
    ranks = results.ranks
    ranked = ranks[ranks["test"] != "none"]
    if ranked.empty:
        return None
    first = ranked.iloc[0]
    has_all = first["test"] == FRIEDMAN
    difference = float(first["critical_difference"]) if has_all and first["friedman_p"] < LEVEL else None
    half = float("nan") if difference is None else difference / 2
    drawn = ranked.rename(columns={"mean_rank": "rank"})
    drawn = drawn.assign(low=drawn["rank"] - half, high=drawn["rank"] + half)
    left_out = ", ".join(ranks.loc[ranks["test"] == "none", "arm"])
    reading = (
        f"Arms whose lines overlap are not told apart by Nemenyi's test at {LEVEL}: their mean ranks differ by less "
        f"than the critical difference, {difference:.2f}"
        if difference is not None
        else "No arms are told apart"
        if has_all
        else "Arms stand in different contexts, each ranked among those that a context has; the table has p"
    )
    num_blocks = ranked["n_blocks"].max()
    return Record(
        axis=f"mean rank over n = {num_blocks} contexts",
        rows=rows_of(drawn[["arm", "rank", "low", "high"]]),
        caption=f"Mean ranks of {len(ranked)} arms over n = {num_blocks} contexts; 1 is the best. {reading}. "
        f"{'Friedman' if has_all else 'Skillings and Mack'}'s test: {p_words(first['friedman_p'])}."
        f"{f' Not ranked, since without any effect: {left_out}.' if left_out else ''}",
    )


def chart(ranks: Record) -> Chart:
    """Return the drawing, an arm a row."""
    arms = [row["arm"] for row in ranks.rows]
    names = alt.Axis(ticks=False, domain=False)
    base = alt.Chart(data(ranks.rows)).encode(
        y=alt.Y("arm:N", title=None, sort=arms, scale=alt.Scale(domain=arms), axis=names),
        tooltip=[alt.Tooltip("arm:N"), *numbers("rank", form=".2f")],
    )
    scale = alt.Scale(zero=False, padding=12)
    line = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=alt.X("low:Q", title=ranks.axis), x2="high:Q")
    point = base.mark_point(size=70, color=BLUE, filled=True, opacity=1).encode(
        x=alt.X("rank:Q", title=ranks.axis, scale=scale, axis=alt.Axis(tickMinStep=1))
    )
    return alt.layer(line, point).properties(width=WIDTH, height=26 * len(arms))
