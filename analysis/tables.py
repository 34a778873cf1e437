"""Tables as people read them: rows of formatted cells, the head first; and as Markdown and CSV."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.quantities import quantity
from analysis.results import Results
from cktf.rows import StudyRow, arm_label

if TYPE_CHECKING:
    import pandas as pd

ABSENT = "–"
"""Stands where a figure cannot be computed."""

Rows = list[list[str]]
"""A table of formatted cells; its first row is the head."""

NOTE = "note"
"""Head of a last column that holds remarks, not figures."""


SMOKE = "A smoke run: its images are few and generated, and its numbers mean nothing."
"""Said of every table of such a run."""


@dataclass(frozen=True)
class Table:
    """A table with what is said about it.

    Attributes:
        title: Its heading.
        rows: Head and rows.
        remark: Where the figures that were not measured come from, and that none of them means anything where that is
            so; mostly empty.
    """

    title: str
    rows: Rows
    remark: str = ""


def main_tables(results: Results) -> list[Table]:
    """Return the tables that answer the question: effects, one table a context, or, failing these, search scores.

    Several contexts are first laid side by side. The tables of a smoke run say that they answer nothing.
    """
    tables = _main_tables(results)
    if results.facts.study.is_smoke:
        tables = [
            replace(table, title=f"Smoke run: {table.title}", remark=f"{SMOKE} {table.remark}".rstrip())
            for table in tables
        ]
    return tables


def _main_tables(results: Results) -> list[Table]:
    if results.arms.empty:
        title = "Best arms by search score (selected on it: optimistic)"
        return [Table(title, leaderboard_rows(results))]
    study = results.facts.study
    title = f"Effects on {quantity(study.report_metric).name}"
    tables = []
    if len(results.contexts) > 1:
        head = f"{quantity(study.report_metric).label.capitalize()}, mean ± sd"
        tables.append(Table(head, context_rows(results), _in_parentheses(study)))
    for context in results.contexts:
        named = f"{title}: {context}" if context else title
        tables.append(Table(named, effects_rows(results, context), _reference_remark(results, context)))
    return tables


def context_rows(results: Results) -> Rows:
    """Return arm x context: mean and standard deviation, and in parentheses the reference; above them the teachers."""
    study = results.facts.study
    decimals = quantity(study.report_metric).decimals
    arms = results.arms
    rows = [["arm", *results.contexts]]
    for name in dict.fromkeys(arms["arm"]):
        cells = {
            arm["context"]: _beside(_mean_and_sd(arm, decimals), arm["reference"], decimals)
            for _, arm in arms[arms["arm"] == name].iterrows()
        }
        rows.append([name, *(cells.get(context, ABSENT) for context in results.contexts)])
    teachers = [
        _beside(number_text(measured, decimals), published, decimals)
        for measured, published in (teacher_of(results, context) for context in results.contexts)
    ]
    if any(cell != ABSENT for cell in teachers):
        rows.insert(1, ["teacher", *teachers])
    return rows


def teacher_of(results: Results, context: str) -> tuple[float, float]:
    """Return what the teacher of a context yields, as measured where all its arms share one, and as published."""
    study, trials = results.facts.study, results.trials
    measured = trials.loc[trials["context"] == context, f"teacher_{study.report_metric}"].dropna().unique()
    published = study.reference_teachers.get(context, np.nan)
    return (float(measured[0]) if len(measured) == 1 else np.nan), published


def effects_rows(results: Results, context: str = "") -> Rows:
    """Return a context's baseline and arms: n, mean, effect with interval, p, Holm's p, and what is missing.

    Where a value of the context was published, a column of references stands beside the means.
    """
    measured = quantity(results.facts.study.report_metric)
    unit = f" ({measured.difference_unit})" if measured.difference_unit else ""
    arms = results.arms[results.arms["context"] == context].set_index("arm_id")
    effects = results.effects[results.effects["context"] == context]
    published = ["reference"] if arms["reference"].notna().any() else []
    head = ["arm", "n", f"{measured.label}, mean ± sd", *published]
    rows = [[*head, f"effect [95% interval]{unit}", "p", "p (Holm)", NOTE]]

    def yields(arm: "pd.Series[Any]") -> list[str]:
        figures = [_mean_and_sd(arm, measured.decimals)]
        figures += [number_text(arm[name], measured.decimals) for name in published]
        return [arm["arm"], str(arm["n"]), *figures]

    for _, arm in arms[arms["is_baseline"]].iterrows():
        note = arm["reason"] or missing_text(arm["n_planned"] - arm["n"])
        rows.append([*yields(arm), "baseline", ABSENT, ABSENT, note])
    for _, effect in effects.iterrows():
        rows.append(
            [
                *yields(arms.loc[effect["arm_id"]]),
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
    rows = [["arm", "seeds", f"{measured.label}, search score", NOTE]]
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
        facts = [arm_label(trial["arm"], trial["context"]), *(str(trial[column]) for column in columns[1:])]
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


def markdown_tables(tables: Sequence[Table]) -> str:
    """Return tables in Markdown, one after the other, each under its title where there are several."""
    parts = []
    for table in tables:
        parts += [f"## {table.title}\n"] if len(tables) > 1 else []
        parts.append(markdown(table.rows))
        parts += [f"{table.remark}\n"] if table.remark else []
    return "\n".join(parts)


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


def _in_parentheses(study: StudyRow) -> str:
    return f"In parentheses: the reference, {study.reference_source}." if study.reference_source else ""


def _reference_remark(results: Results, context: str) -> str:
    """Return where a context's references come from, and beside its teacher's reference what was measured of it."""
    study = results.facts.study
    decimals = quantity(study.report_metric).decimals
    measured, published = teacher_of(results, context)
    told = []
    if study.reference_values.get(context) or not np.isnan(published):
        told.append(f"Reference: {study.reference_source}.")
    if not np.isnan(published):
        own = "not measured" if np.isnan(measured) else number_text(measured, decimals)
        told.append(f"The teacher: {own}, reference {number_text(published, decimals)}.")
    return " ".join(told)


def _beside(text: str, published: float, decimals: int) -> str:
    """Return a measured figure and, in parentheses, the published one where there is one."""
    return text if np.isnan(published) else f"{text} ({number_text(published, decimals)})"


def _signed(value: float, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def _mean_and_sd(arm: "pd.Series[Any]", decimals: int) -> str:
    if arm["n"] < 2:
        return number_text(arm["mean"], decimals)
    return f"{number_text(arm['mean'], decimals)} ± {number_text(arm['sd'], decimals)}"
