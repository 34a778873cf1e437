"""Every arm's mean effect over its contexts."""

from analysis.report.table import NOTE, Rows, Table
from analysis.results import Results
from analysis.wording import effect_text, p_text, quantity, unit_text


def tables(results: Results) -> list[Table]:
    """Return the table; none where no arm stands in two contexts."""
    if not (count := len(results.over_contexts)):
        return []
    remark = (
        "Mean of an arm's effects, each context counted once, with Student's interval over contexts; p by the "
        f"one-sample t test, adjusted by Holm's method over {count} arm{'s' * (count != 1)}."
    )
    return [Table("Effects over all contexts", _rows(results), remark)]


def _rows(results: Results) -> Rows:
    """Return every arm's mean effect over its contexts."""
    measured = quantity(results.facts.study.report_metric)
    rows = [
        [
            "arm",
            "contexts",
            "of these above 0",
            f"effect [95% interval]{unit_text(measured)}",
            "p",
            "p (Holm)",
            NOTE,
        ]
    ]
    for _, arm in results.over_contexts.iterrows():
        missing = f"no effect in {arm['n_missing']} of its contexts" if arm["n_missing"] else ""
        counts = [str(arm["n_contexts"]), str(arm["n_above"])]
        tests = [p_text(arm["p"]), p_text(arm["p_holm"])]
        rows.append([arm["arm"], *counts, effect_text(arm, measured.decimals), *tests, missing])
    return rows
