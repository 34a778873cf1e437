"""Tables as people read them: rows of formatted cells, the head first; and as Markdown and CSV."""

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.quantities import quantity
from analysis.results import Results

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "–"
"""Stands where a figure cannot be computed."""

Rows = list[list[str]]
"""A table of formatted cells; its first row is the head."""


def main_rows(results: Results) -> tuple[str, Rows]:
    """Return the title and rows of the table that answers the question: effects or, failing these, scores."""
    if results.arms.empty:
        return "Best arms by search score (selected on it: optimistic)", leaderboard_rows(results)
    return f"Effects on {quantity(results.facts.study.report_metric).name}", effects_rows(results)


def effects_rows(results: Results) -> Rows:
    """Return the baseline and every arm: n, mean, effect with interval, p, Holm's p, and what is missing."""
    measured = quantity(results.facts.study.report_metric)
    unit = f" ({measured.difference_unit})" if measured.difference_unit else ""
    rows = [
        ["arm", "n", f"{measured.label}, mean ± sd", f"effect [95% interval]{unit}", "p", "p (Holm)", "note"]
    ]
    arms = results.arms.set_index("arm_id")
    for _, arm in arms[arms["is_baseline"]].iterrows():
        note = arm["reason"] or missing_text(arm["n_planned"] - arm["n"])
        rows.append(
            [
                arm["arm"],
                str(arm["n"]),
                _mean_and_sd(arm, measured.decimals),
                "baseline",
                ABSENT,
                ABSENT,
                note,
            ]
        )
    for _, effect in results.effects.iterrows():
        arm = arms.loc[effect["arm_id"]]
        rows.append(
            [
                effect["arm"],
                str(arm["n"]),
                _mean_and_sd(arm, measured.decimals),
                effect_text(effect, measured.decimals),
                p_text(effect["p"]),
                p_text(effect["p_holm"]),
                "; ".join(text for text in (effect["reason"], effect["missing"]) if text),
            ]
        )
    return rows


def leaderboard_rows(results: Results, top: int = 10) -> Rows:
    """Return the best arms of a search, best first, by the score that selected them."""
    measured = quantity(results.facts.study.metric)
    rows = [["arm", "seeds", f"{measured.label}, search score", "note"]]
    for _, arm in results.leaderboard.head(top).iterrows():
        score = number_text(arm["score"], measured.decimals)
        rows.append([arm["arm"], str(arm["n"]), score, ""])
    return rows


def trial_rows(results: Results) -> Rows:
    """Return every trial with its status, its last scores and the reason of its end."""
    shown = list(dict.fromkeys((results.facts.study.metric, results.facts.study.report_metric)))
    measured = [quantity(metric) for metric in shown]
    columns = ["arm", "seed", "stage", "status", "epochs"]
    rows = [["trial", *columns, *(m.label for m in measured), "seconds", "reason"]]
    for trial in results.trials.to_dict("records"):
        scores = [number_text(trial[metric], m.decimals) for metric, m in zip(shown, measured, strict=True)]
        facts = [str(trial[column]) for column in columns]
        rows.append(
            [
                str(trial["number"] + 1),
                *facts,
                *scores,
                number_text(trial["wall_seconds"], 1),
                str(trial["reason"]),
            ]
        )
    return rows


def markdown(rows: Rows) -> str:
    """Return rows as a Markdown table."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]) + "\n"


def csv(frame: "pd.DataFrame") -> str:
    """Return a table of statistics with every digit, for other programs."""
    return frame.to_csv(index=False, lineterminator="\n")


def number_text(value: float | None, decimals: int) -> str:
    """Return a number as people read it."""
    return ABSENT if value is None or np.isnan(value) else f"{value:.{decimals}f}".replace("-", "−")


def p_text(p: float) -> str:
    """Return a p value: two digits, and never a zero."""
    if np.isnan(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def effect_text(effect: "pd.Series[Any]", decimals: int) -> str:
    """Return an effect with its interval: ``+1.20 [+0.40, +2.00]``."""
    if np.isnan(effect["effect"]):
        return ABSENT
    text = _signed(effect["effect"], decimals)
    if np.isnan(effect["low"]):
        return text
    return f"{text} [{_signed(effect['low'], decimals)}, {_signed(effect['high'], decimals)}]"


def missing_text(count: int) -> str:
    """Return how many planned trials have no result; nothing where all have."""
    return f"{count} of its trials missing" if count else ""


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def _mean_and_sd(arm: "pd.Series[Any]", decimals: int) -> str:
    if arm["n"] < 2:
        return number_text(arm["mean"], decimals)
    return f"{number_text(arm['mean'], decimals)} ± {number_text(arm['sd'], decimals)}"
