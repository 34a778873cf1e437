"""Every factor's importance by both evaluators."""

from analysis.report.table import NOTE, Rows, Table
from analysis.results import Results
from analysis.searches.importance import importance_text
from analysis.wording import ABSENT, number_text


def tables(results: Results) -> list[Table]:
    """Return the table; none where no importance is known."""
    if results.importance["importance"].isna().all():
        return []
    remark = (
        f"{importance_text(results.importance)} First: in what percentage of the samples a factor has the largest "
        "share."
    )
    return [Table("Importance of the factors", _rows(results), remark)]


def _rows(results: Results) -> Rows:
    """Return every factor's importance by both evaluators, with intervals and how often it came first."""
    import pandas as pd

    methods = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}
    kinds = {"ped-anova": "split", "fanova": "share of variance"}
    head = [
        f"{text}{part}"
        for method, text in methods.items()
        for part in (f", {kinds[method]} [95% interval]", ", first in %")
    ]
    rows = [["factor", *head, NOTE]]
    factors = list(dict.fromkeys(results.importance["factor"]))
    found = results.importance.set_index(["factor", "method"])
    # Interactions have a row of fANOVA alone.
    found = found.reindex(pd.MultiIndex.from_product([factors, methods])).fillna({"reason": ""})
    for factor in factors:
        both = [found.loc[(factor, method)] for method in methods]
        cells = []
        for judged in both:
            interval = ", ".join(number_text(judged[name], 2) for name in ("low", "high"))
            share = number_text(judged["importance"], 2)
            cells += [
                share if share == ABSENT else f"{share} [{interval}]",
                number_text(100 * judged["first"], 0),
            ]
        notes = [
            f"{text}: {judged['reason']}"
            for text, judged in zip(methods.values(), both, strict=True)
            if judged["reason"]
        ]
        rows.append([factor, *cells, "; ".join(notes)])
    return rows
