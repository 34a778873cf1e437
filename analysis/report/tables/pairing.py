"""Each comparison's pairing, effect size, intervals and further tests."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.report.table import Rows, Table
from analysis.results import Results
from analysis.statistics.paired import FEWEST_CORRELATED, FEWEST_FLIPPED, FEWEST_UNPAIRED
from analysis.statistics.verdicts import POWER
from analysis.wording import ABSENT, number_text, p_text, quantity, signed_text, unit_text
from cktf.names import arm_label

if TYPE_CHECKING:
    import pandas as pd


def tables(results: Results) -> list[Table]:
    """Return the table; none where no arm is compared."""
    if results.effects.empty:
        return []
    return [Table("Pairing, effect sizes and other tests", _rows(results), _remark(results))]


def _rows(results: Results) -> Rows:
    """Return for every arm of every context what stands behind its verdict, beside the deciding test."""
    measured = quantity(results.facts.study.report_metric)
    effects = results.effects
    has_delta = results.facts.study.delta is not None
    has_unpaired = bool(effects["n_unpaired"].notna().any())
    p_names = {"p": "p (t)"}
    if has_delta:
        p_names |= {"p_equivalence": "p (equivalence)", "p_equivalence_holm": "p (equivalence, Holm)"}
    p_names |= {"p_flip": "p (sign flip)", "p_flip_holm": "p (sign flip, Holm)"}
    head = ["arm", "pairs", "correlation [95% interval]", *["seeds if unpaired"] * has_unpaired, "g_z"]
    head += [f"{name}{unit_text(measured)}" for name in ("simultaneous interval", "detectable")]
    rows = [[*head, *p_names.values()]]
    for _, effect in effects.iterrows():
        rows.append(
            [
                arm_label(effect["arm"], effect["context"]),
                str(effect["n_pairs"]),
                number_text(effect["correlation"], 2) + _interval(effect, "correlation_{}", 2),
                *[number_text(effect["n_unpaired"], 0)] * has_unpaired,
                signed_text(effect["hedges_gz"], 2),
                _interval(effect, "{}_simultaneous", measured.decimals, signed_text).lstrip() or ABSENT,
                number_text(effect["detectable"], measured.decimals),
                *(p_text(effect[name]) for name in p_names),
            ]
        )
    return rows


def _remark(results: Results) -> str:
    """Return what the columns of the table of pairing are."""
    unpaired = (
        f" Seeds if unpaired, from {FEWEST_UNPAIRED} pairs on: those that each side would need, unpaired, for the same "
        "standard error; as uncertain as the correlation, and without the degrees of freedom that pairing costs."
        if results.effects["n_unpaired"].notna().any()
        else ""
    )
    return (
        "Correlation of arm and baseline over the seeds, with Fisher's interval from "
        f"{FEWEST_CORRELATED} pairs on.{unpaired} g_z: the effect in standard deviations of the differences (d_z, with "
        "Hedges' correction). Simultaneous intervals (Bonferroni's) hold all together in 95% of studies. Detectable: "
        f"the effect that so many pairs tell from 0 with {POWER:.0%} power, if the differences vary as they did. The "
        f"exact sign-flip test, from {FEWEST_FLIPPED} pairs on, decides nothing."
    )


def _interval(
    row: "pd.Series[Any]", columns: str, decimals: int, text: Callable[[float, int], str] = number_text
) -> str:
    """Return an interval in brackets, after a space; nothing where there is none."""
    ends = [row[columns.format(end)] for end in ("low", "high")]
    return "" if np.isnan(ends).any() else f" [{', '.join(text(end, decimals) for end in ends)}]"
