"""Every arm against its baseline: one table for each context."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.ledger.other_names import other_names
from analysis.report.reading import open_text, reading_text
from analysis.report.table import (
    NOTE,
    UNADJUSTED,
    VERDICT,
    Cells,
    Rows,
    Table,
)
from analysis.results import Results
from analysis.statistics.over_contexts import shared_names
from analysis.statistics.verdicts import FEWEST_FOR_A_NUMBER, LEVEL, MOST_MORE_SEEDS, Verdict
from analysis.wording import ABSENT, effect_text, number_text, p_text, quantity, unit_text

if TYPE_CHECKING:
    import pandas as pd


MEAN_COLUMN = 2
"""Column of the arms' means."""


UNTESTED = "No comparison could be tested, so none is decided; the table says why"
"""Remark if no arm could be tested."""


def tables(results: Results) -> list[Table]:
    """Return a table for each context; one without rows where no trial is planned."""
    title = f"Effects on {quantity(results.facts.study.report_metric).name}"
    if results.arms.empty:
        return [Table(title, effects_rows(results), "No trial is planned yet.")]
    found = []
    for context in results.contexts:
        remarks = (decision_text(results), _reference_remark(results, context))
        rows = effects_rows(results, context)
        found.append(
            Table(
                f"{title}: {context}" if context else title,
                rows,
                " ".join(text for text in remarks if text),
                *marks(results, rows, {MEAN_COLUMN: context}),
                has_means=True,
            )
        )
    return found


def marks(results: Results, rows: Rows, columns: Mapping[int, str]) -> tuple[Cells, Cells]:
    """Return the cells of the best means of their context, and those not told from them.

    Args:
        results: Of which the table is.
        rows: Of the table.
        columns: Those that hold means, with their contexts.
    """
    best = results.best
    names = best["arm"]
    if len(columns) > 1 and len(best):
        names = best["arm_id"].map(shared_names(results.arms))

    def cells(is_meant: "pd.Series[bool]") -> Cells:
        meant = set(zip(best["context"][is_meant], names[is_meant], strict=True))
        return frozenset(
            (number, column)
            for number, row in enumerate(rows[1:], 1)
            for column, context in columns.items()
            if (context, row[0]) in meant
        )

    return cells(best["is_best"]), cells(best["is_among_best"] & ~best["is_best"])


def teacher_of(results: Results, context: str) -> tuple[float, float]:
    """Return what the teacher of a context yields, as measured where all its arms share one, and as published."""
    study, trials = results.facts.study, results.trials
    measured = trials.loc[trials["context"] == context, f"teacher_{study.report_metric}"].dropna().unique()
    published = study.reference_teachers.get(context, np.nan)
    return (float(measured[0]) if len(measured) == 1 else np.nan), published


def effects_rows(results: Results, context: str = "") -> Rows:
    """Return a context's baseline and arms: n, mean, effect with interval, p, Holm's p, verdict, and what is missing.

    Where a value of the context was published, a column of references stands beside the means.
    """
    measured = quantity(results.facts.study.report_metric)
    arms = results.arms[results.arms["context"] == context].set_index("arm_id")
    effects = results.effects[results.effects["context"] == context]
    published = ["reference"] if arms["reference"].notna().any() else []
    head = ["arm", "n", f"{measured.label}, mean ± sd", *published]
    rows = [[*head, f"effect [95% interval]{unit_text(measured)}", UNADJUSTED, "p (Holm)", VERDICT, NOTE]]
    others = other_names(results.trials)

    def noted(arm_id: str, note: str) -> str:
        also = f"also: {', '.join(others[arm_id])}" if arm_id in others else ""
        return "; ".join(part for part in (also, note) if part)

    def yields(arm: "pd.Series[Any]") -> list[str]:
        figures = [mean_and_sd(arm, measured.decimals)]
        figures += [number_text(arm[name], measured.decimals) for name in published]
        return [arm["arm"], str(arm["n"]), *figures]

    for arm_id, arm in arms[arms["is_baseline"]].iterrows():
        note = noted(str(arm_id), arm["reason"] or missing_text(arm["n_planned"] - arm["n"]))
        rows.append([*yields(arm), "baseline", ABSENT, ABSENT, ABSENT, note])
    for _, effect in effects.iterrows():
        rows.append(
            [
                *yields(arms.loc[effect["arm_id"]]),
                effect_text(effect, measured.decimals),
                p_text(effect["p"]),
                p_text(effect["p_holm"]),
                verdict_text(effect, measured.decimals),
                noted(effect["arm_id"], note_text(effect)),
            ]
        )
    for _, arm in arms[~arms["is_baseline"] & ~arms.index.isin(effects["arm_id"])].iterrows():
        rows.append([*yields(arm), ABSENT, ABSENT, ABSENT, ABSENT, "no baseline to compare with"])
    return rows


def verdict_text(effect: "pd.Series[Any]", decimals: int) -> str:
    """Return a verdict and, where it is open, the seeds that decide about delta or, without one, what is detectable."""
    low, more = effect["more_seeds_low"], effect["more_seeds"]
    if effect["verdict"] != Verdict.UNDECIDED or np.isnan(effect["detectable"]):
        return str(effect["verdict"])
    if np.isnan(more):
        return f"{Verdict.UNDECIDED}, detectable: ±{number_text(effect['detectable'], decimals)}"
    if more == 0:
        return f"{Verdict.UNDECIDED}, though the seeds suffice for delta"
    counted = f"more than {MOST_MORE_SEEDS}" if np.isinf(more) else f"{more:.0f}"
    if effect["n_pairs"] < FEWEST_FOR_A_NUMBER and low < more:
        counted = f"{low:.0f} to {counted}"
    elif np.isfinite(more):
        counted = f"about {counted}"
    return f"{Verdict.UNDECIDED}, {counted} more seed{'s' * (more != 1)}"


def note_text(effect: "pd.Series[Any]") -> str:
    """Return what a reader must know of a comparison: why a figure is missing, which seeds, on whose side."""
    notes = [effect["reason"]]
    if effect["n_missing"]:
        planned = effect["n_pairs"] + effect["n_missing"]
        notes.append(f"{effect['n_missing']} of {planned} seeds missing ({effect['missing']})")
    lost = {"the arm": effect["n_lost_by_arm"], "the baseline": effect["n_lost_by_baseline"]}
    sides = [side for side, count in lost.items() if count]
    if len(sides) == 1 and effect["n_pairs"]:
        notes.append(f"only {sides[0]} failed: the effect is that of the seeds that it survived")
    if effect["p_holm"] < LEVEL <= effect["p_flip_holm_least"]:
        notes.append(
            "the exact sign-flip test cannot confirm it at this number of seeds and comparisons (its smallest adjusted "
            f"p is {p_text(effect['p_flip_holm_least'])})"
        )
    elif effect["p_holm"] < LEVEL <= effect["p_flip_holm"]:
        notes.append(
            f"the exact sign-flip test does not tell it from 0 (p adjusted likewise: {p_text(effect['p_flip_holm'])})"
        )
    return "; ".join(note for note in notes if note)


def decision_text(results: Results) -> str:
    """Return which test the verdicts come from, or that there is none; nothing where no arm is compared."""
    count = len(results.effects)
    if not count:
        return ""
    if results.effects["p"].isna().all():
        return f"{UNTESTED}."
    study = results.facts.study
    measured = quantity(study.report_metric)
    unit = f" {measured.difference_unit}" if measured.difference_unit else ""
    family = f"over {count} comparison{'s' * (count != 1)}"
    delta = (
        "no delta is set, so no arm can be called equivalent"
        if study.delta is None
        else f"equivalent: within ±{study.delta:g}{unit} (delta) by two one-sided t tests, adjusted likewise"
    )
    return (
        f"Verdict: paired t test, p adjusted by Holm's method {family}, level {LEVEL}; {delta}. "
        f"{reading_text(results)} {open_text(results)}"
    ).rstrip()


def missing_text(count: int) -> str:
    """Return how many planned trials have no result; nothing where all have."""
    return f"{count} of its trials missing" if count else ""


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


def mean_and_sd(arm: "pd.Series[Any]", decimals: int) -> str:
    """Return an arm's mean and, from two seeds on, its standard deviation."""
    if arm["n"] < 2:
        return number_text(arm["mean"], decimals)
    return f"{number_text(arm['mean'], decimals)} ± {number_text(arm['sd'], decimals)}"
