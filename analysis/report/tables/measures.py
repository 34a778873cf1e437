"""The table of further measures: each arm's mean, its effect, and a verdict within the measure's own family."""

from analysis.report.reading import test_text
from analysis.report.table import NOTE, UNADJUSTED, VERDICT, Columns, Table, cell, rows_of
from analysis.report.tables.effects import note_text, verdict_text
from analysis.results import Results
from analysis.wording import effect_text, number_text, p_text, quantity
from cktf.names import arm_label


def measures(results: Results) -> list[Table]:
    """Return the table of further measures; none where the study names none, or no arm is compared."""
    found = results.measures
    if found.empty:
        return []
    decimals = {name: quantity(name).decimals for name in found["metric"].unique()}
    columns: Columns = {
        "measure": lambda row: quantity(row["metric"]).label,
        "arm": lambda row: arm_label(row["arm"], row["context"]),
        "pairs": "n_pairs",
        "baseline": lambda row: number_text(row["baseline_mean"], decimals[row["metric"]]),
        "mean": lambda row: number_text(row["mean"], decimals[row["metric"]]),
        "effect [95% interval]": lambda row: effect_text(row, decimals[row["metric"]]),
        UNADJUSTED: cell(p_text, "p"),
        "p (Holm)": cell(p_text, "p_holm"),
        VERDICT: lambda row: verdict_text(row, decimals[row["metric"]]),
        NOTE: note_text,
    }
    directions = {name: larger for name, larger in results.facts.measures.items() if name in decimals}
    smaller = [quantity(name).name for name, larger in directions.items() if not larger]
    better = f"Larger is better, but of {', '.join(smaller)} smaller. " if smaller else "Larger is better. "
    sizes = sorted(set(found["metric"].value_counts()))
    of_one = " or ".join(map(str, sizes))
    how = "the mixture t" if results.facts.is_looked_at else test_text(results)
    remark = (
        f"{better}Each measure is a family of its own: p (Holm) is adjusted over the {of_one} "
        f"comparison{'s' * (sizes != [1])} of one measure by {how}, and not over "
        "measures, so that an effect found here among several is weaker evidence than one on the metric of the study."
    )
    return [Table("Further measures", rows_of(found, columns), remark)]
