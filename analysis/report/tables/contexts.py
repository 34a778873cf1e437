"""Arms beside contexts: every mean, and the teachers above them."""

import numpy as np

from analysis.report.table import Rows, Table
from analysis.report.tables.effects import marks, mean_and_sd, teacher_of
from analysis.results import Results
from analysis.statistics.over_contexts import shared_names
from analysis.wording import ABSENT, number_text, quantity


def tables(results: Results) -> list[Table]:
    """Return the table; none where there is one context."""
    if len(results.contexts) < 2:
        return []
    study = results.facts.study
    head = f"{quantity(study.report_metric).label.capitalize()}, mean ± sd"
    rows = context_rows(results)
    counts = results.arms["n"].unique()
    remark = f"n = {counts[0]} in each cell." if len(counts) == 1 else "n is the number of seeds."
    if study.reference_source:
        remark += f" In parentheses: the reference, {study.reference_source}."
    columns = dict(enumerate(results.contexts, 1))
    return [Table(head, rows, remark, *marks(results, rows, columns), has_means=True)]


def context_rows(results: Results) -> Rows:
    """Return arm x context: mean and standard deviation, and in parentheses the reference; above them the teachers.

    Where arms have different numbers of seeds, each cell says its own.
    """
    study = results.facts.study
    decimals = quantity(study.report_metric).decimals
    arms = results.arms.assign(arm=shared_names(results.arms).to_numpy())
    counts_differ = arms["n"].nunique() > 1
    rows = [["arm", *results.contexts]]
    for name in dict.fromkeys(arms["arm"]):
        cells = {
            arm["context"]: _beside(
                mean_and_sd(arm, decimals) + (f", n = {arm['n']}" if counts_differ else ""),
                arm["reference"],
                decimals,
            )
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


def _beside(text: str, published: float, decimals: int) -> str:
    """Return a measured figure and, in parentheses, the published one where there is one."""
    return text if np.isnan(published) else f"{text} ({number_text(published, decimals)})"
