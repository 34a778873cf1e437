"""Main effects and interactions of a grid or a fraction."""

from analysis.report.table import NOTE, Rows, Table
from analysis.results import Results
from analysis.statistics.interactions import models_and_family
from analysis.wording import effect_text, p_text, quantity, unit_text
from cktf.names import arm_label


def tables(results: Results) -> list[Table]:
    """Return the table; none where the design has no main effects."""
    if results.interactions.empty:
        return []
    models, family = models_and_family(results.interactions)
    remark = (
        "Contrasts of the arms' means with equal weights on the levels of the other factors (Type III), by "
        f"{models}. A main effect is the difference from the "
        "reference level; an interaction says by how much one factor's difference changes with the other. p (Holm) "
        f"is adjusted over all {family} rows that compare anything; p (F) is of all contrasts of the same factors "
        "together."
    )
    if results.interactions["aliases"].any():
        remark += (
            " Effects that the fraction confounds share one figure: an interaction plus the others named or, after a "
            "minus sign, minus them; a main effect plus or minus half of them."
        )
    return [Table("Main effects and interactions", _rows(results), remark)]


def _rows(results: Results) -> Rows:
    """Return the main effects and interactions of a grid or a fraction."""
    measured = quantity(results.facts.study.report_metric)
    rows = [["contrast", "against", f"effect [95% interval]{unit_text(measured)}", "p", "p (Holm)", "p (F)", NOTE]]
    for _, found in results.interactions.iterrows():
        tests = [p_text(found[name]) for name in ("p", "p_holm", "factor_p")]
        named = arm_label(found["contrast"], found["context"])
        effect = effect_text(found, measured.decimals)
        aliases = f"confounded with {found['aliases']}" if found["aliases"] else ""
        notes = "; ".join(note for note in (aliases, found["reason"]) if note)
        rows.append([named, found["against"], effect, *tests, notes])
    return rows
