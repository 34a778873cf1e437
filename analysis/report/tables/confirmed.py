"""Every confirmed arm's score in the search, at fresh seeds, and its effect."""

from analysis.report.table import VERDICT, Rows, Table
from analysis.results import Results
from analysis.searches.confirmed import luck_text
from analysis.wording import (
    ABSENT,
    Quantity,
    effect_text,
    interval_text,
    number_text,
    quantity,
    signed_text,
    unit_text,
)


def tables(results: Results) -> list[Table]:
    """Return the table; none where no arm was confirmed."""
    if results.confirmed.empty:
        return []
    study = results.facts.study
    remark = (
        f"Search score: {quantity(study.metric).name} in the search, which selected the arms. Mean: the same at fresh "
        f"seeds, with Student's 95% interval. Above fresh: the first minus the second. {luck_text(study)} "
        f"Effect: against the baseline at the same fresh seeds, on {quantity(study.report_metric).name}."
    )
    return [Table("Confirmed arms: search score and fresh seeds", _rows(results), remark)]


def _rows(results: Results) -> Rows:
    """Return every confirmed arm's score in the search beside its mean at fresh seeds, and its effect."""
    study = results.facts.study
    measured, reported = quantity(study.metric), quantity(study.report_metric)
    rows = [
        [
            *(
                "arm",
                "rank",
                f"search score{_unit(measured)}",
                "seeds",
                f"mean [95% interval]{_unit(measured)}",
            ),
            f"above fresh{unit_text(measured)}",
            f"luck of the selection{unit_text(measured)}",
            f"effect [95% interval]{unit_text(reported)}",
            VERDICT,
        ]
    ]
    for _, arm in results.confirmed.iterrows():
        mean = number_text(arm["mean"], measured.decimals) + interval_text(arm["low"], arm["high"], measured)
        effect = arm[["effect", "effect_low", "effect_high"]]
        effect = effect.rename({"effect_low": "low", "effect_high": "high"})
        rows.append(
            [
                arm["arm"],
                number_text(arm["rank"], 0),
                number_text(arm["search_score"], measured.decimals),
                str(arm["n"]),
                mean,
                signed_text(arm["above_fresh"], measured.decimals),
                signed_text(arm["selection_luck"], measured.decimals),
                "baseline" if arm["is_baseline"] else effect_text(effect, reported.decimals),
                arm["verdict"] or ABSENT,
            ]
        )
    return rows


def _unit(measured: Quantity) -> str:
    return f" ({measured.unit})" if measured.unit else ""
