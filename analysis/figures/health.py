"""Health of the distillation: mean and interval of each measure by epoch, for a few arms and their baseline."""

import textwrap
from dataclasses import dataclass

import altair as alt

from analysis.figures.shown import MAX_PANELS, TITLE_WIDTH, by_seed, in_panels, largest_effects, left_out
from analysis.figures.theme import BLUE, GREY, LINE_LEGEND, Record, by_kind, epoch_axis, numbers, rows_of
from analysis.statistics.health import BOUNDS, PREFIX, WORDS, measured, number_label, numbers_of, selected_confidence
from analysis.statistics.intervals import grouped_estimates
from analysis.study_tables import StudyTables

LINES = ((GREY, [5, 3]), (BLUE, [1, 0]), ("#c9711a", [8, 2]), ("#8d5fb0", [2, 2]))
"""Colour and dashes of the baseline and of the arms beside it; as many arms are drawn as there are of these."""

ALWAYS = ("health.agreement", "health.kl")
"""Measures that always have a panel."""

OF_THE_GAP = ("health.positive.", "health.negative.")
"""Prefixes of the two measures whose difference is the gap: they are in the tables, but have no panels."""


@dataclass(frozen=True, kw_only=True)
class Health(Record):
    """Record of the figure; each row has ``panel``, ``arm``, ``epoch``, ``n``, ``mean``, ``low`` and ``high``.

    Attributes:
        arms: Names of the drawn arms, the baseline first if it has results.
    """

    arms: list[str]


def record(results: StudyTables) -> Health | None:
    """Return the health of the arms with the largest effects in the first context; None if it was not measured."""
    study = results.facts.study
    epochs = measured(results.trials, results.epochs, study.report_metric)
    if epochs.empty:
        return None
    context = str(epochs["context"].iloc[0])
    epochs = epochs[epochs["context"] == context]
    names = dict(zip(epochs["arm_id"].astype("str"), epochs["arm"].astype("str"), strict=True))
    effects = results.against_baseline[results.against_baseline["arm_id"].isin(names)]
    others = list(largest_effects(effects, len(LINES) - 1)["arm_id"])
    baseline = study.baseline_of(context)
    shown = [arm_id for arm_id in (baseline, *others) if arm_id in names] or list(names)[: len(LINES)]
    epochs = epochs[epochs["arm_id"].isin(shown)]
    all_numbers = [name for name in numbers_of(epochs) if epochs[name].notna().any()]
    candidates = [name for name in all_numbers if not name.startswith(OF_THE_GAP)]
    chosen = _chosen(candidates, results, shown)
    epochs = by_seed(epochs, chosen)
    confidence = selected_confidence(len(chosen), len(candidates))
    rows = []
    for number in chosen:
        points = grouped_estimates(epochs[epochs[number].notna()], ["arm_id", "epoch"], number, confidence)
        points["arm"] = points.pop("arm_id").astype("str").map(names)
        # With two seeds, an interval may reach far beyond possible values.
        least, most = BOUNDS.get(number.removeprefix(PREFIX).partition(".")[0], (None, None))
        points[["low", "high"]] = points[["low", "high"]].clip(least, most)
        for name in ("mean", "low", "high"):
            points[name] = points[name].map(lambda value: float(f"{value:.4g}"))
        panel = "\n".join(textwrap.wrap(number_label(number), TITLE_WIDTH))
        rows += rows_of(points[["arm", "epoch", "n", "mean", "low", "high"]].assign(panel=panel))
    interval = f" with its {100 * confidence:.4g}% interval" if any(row["low"] is not None for row in rows) else ""
    where = f", in context {context}" if context else ""
    caption = (
        "Student and teacher on the validation split, and gradients of the terms in an epoch's first step: mean over "
        f"complete trials{interval}{where}; the baseline is dashed and grey. Each panel has its own scale."
        + left_out(len(others), len(effects))
    )
    if len(chosen) < len(all_numbers):
        compared = set(PREFIX + results.health.loc[results.health["arm_id"].isin(shown), "measure"])
        others_too = "" if compared.issuperset(chosen) else ", then some that it does not have"
        caption += (
            f" Of {len(all_numbers)} numbers, {len(chosen)} are drawn: agreement, KL, and those that differ most from "
            f"the baseline's at the end{others_too}."
        )
    if len(chosen) < len(candidates):
        caption += " The intervals are those of the selected: of those drawn, 5% miss on average (false-coverage rate)."
    return Health(arms=[names[arm_id] for arm_id in shown], rows=rows, caption=caption)


def chart(health: Health) -> alt.FacetChart:
    """Return the drawing."""
    looks = dict(zip(health.arms, LINES, strict=False))
    kinds = by_kind("arm", looks, "color strokeDash", legend=LINE_LEGEND)
    base = alt.Chart().encode(x=alt.X("epoch:Q", title="epoch", axis=epoch_axis(health.rows)), color=kinds["color"])
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    line = base.mark_line(strokeWidth=2, point=True).encode(
        y=alt.Y("mean:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(labelFlush=True)),
        strokeDash=kinds["strokeDash"],
        tooltip=["arm:N", "epoch:Q", *numbers("mean", "low", "high", form=".4")],
    )
    return in_panels([band, line], health.rows, shares_axis=False)


def _chosen(numbers: list[str], results: StudyTables, shown: list[str]) -> list[str]:
    """Return the columns that get a panel, ordered by kind: those that differ most from the baseline's."""
    moved = results.health[results.health["arm_id"].isin(shown)]
    largest = moved["statistic"].abs().groupby(PREFIX + moved["measure"]).max().to_dict()
    ranked = sorted(numbers, key=lambda name: (name not in ALWAYS, -largest.get(name, 0.0)))
    kept = set(ranked[:MAX_PANELS])
    kinds = {word: place for place, word in enumerate(WORDS)}  # others, an objective's own, come last
    of_kind = {name: name.removeprefix(PREFIX).partition(".")[0] for name in kept}
    return sorted(kept, key=lambda name: (kinds.get(of_kind[name], len(kinds)), name))
