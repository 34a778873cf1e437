"""Tables behind the effects: their pairing, means over teachers and contexts, ranks, and contrasts of a factorial."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.report.reading import margin_text, sides_text
from analysis.report.table import NOTE, VERDICT, Columns, Table, cell, rows_of
from analysis.results import Results
from analysis.statistics.interactions import models_and_family
from analysis.statistics.over_contexts import FEWEST_CONTEXTS as FEWEST_SAID
from analysis.statistics.paired import FEWEST_CORRELATED, FEWEST_FLIPPED, FEWEST_UNPAIRED
from analysis.statistics.ranks import FEWEST_ARMS, FEWEST_CONTEXTS, FRIEDMAN, MANY_CONTEXTS, SKILLINGS_MACK
from analysis.statistics.verdicts import POWER
from analysis.wording import (
    comparison_names,
    effect_text,
    number_text,
    p_text,
    p_words,
    quantity,
    signed_text,
    unit_text,
)
from cktf.names import arm_label
from cktf.rows import Alternative


def pairing(results: Results) -> list[Table]:
    """Return the table of each comparison's pairing and further tests; none where no arm is compared."""
    effects, study = results.effects, results.facts.study
    if effects.empty:
        return []
    is_one_sided = study.alternative != Alternative.TWO_SIDED
    is_fixed = not results.facts.is_looked_at  # power and sign flips are of a fixed number of seeds
    sides = "arm and baseline" if effects["against_baseline"].all() else "both arms"
    measured = quantity(results.facts.study.report_metric)
    has_unpaired = bool(effects["n_unpaired"].notna().any())
    of_delta = {"p (equivalence)": "p_equivalence", "p (equivalence, adjusted)": "p_equivalence_both"}
    p_names = {
        "p (t)" if is_fixed else "p": "p",
        **(of_delta if results.facts.study.delta is not None else {}),
        **({"p (sign flip)": "p_flip", "p (sign flip, Holm)": "p_flip_holm"} if is_fixed else {}),
    }
    detectable = (signed_text if is_one_sided else number_text, "detectable", measured.decimals)
    columns: Columns = {
        "arm": lambda effect: arm_label(effect["name"], effect["context"]),
        "pairs": "n_pairs",
        "correlation [95% interval]": lambda effect: (
            number_text(effect["correlation"], 2) + _interval(effect, "correlation_{}", 2)
        ),
        "variance left [95% interval]": lambda effect: (
            number_text(effect["variance_left"], 2) + _interval(effect, "variance_left_{}", 2)
        ),
        **({"seeds if unpaired": cell(number_text, "n_unpaired", 0)} if has_unpaired else {}),
        **({f"detectable{unit_text(measured)}": cell(*detectable)} if is_fixed else {}),
        **{head: cell(p_text, name) for head, name in p_names.items()},
    }
    unpaired = (
        f" Seeds if unpaired, from {FEWEST_UNPAIRED} pairs on: those that each side would need, unpaired, for the same "
        "standard error; as uncertain as the correlation, and without the degrees of freedom that pairing costs."
        if has_unpaired
        else ""
    )
    remark = (
        f"Correlation of {sides} over the seeds, with Fisher's interval from "
        f"{FEWEST_CORRELATED} pairs on. Variance left: that of the paired differences over that of unpaired ones, with "
        f"Pitman's and Morgan's interval from as many on: below 1, pairing gained.{unpaired}"
    )
    if is_fixed:
        remark += (
            f" Detectable: the effect that so many pairs tell from {margin_text(study)} with {POWER:.0%} power, if the "
            f"differences vary as they did. The exact sign-flip test, from {FEWEST_FLIPPED} pairs on, decides nothing."
        )
    return [Table("Pairing and other tests", rows_of(effects.assign(name=comparison_names(effects)), columns), remark)]


def _interval(row: "pd.Series[Any]", columns: str, decimals: int) -> str:
    """Return an interval in brackets, after a space; an empty text if there is none."""
    ends = [row[columns.format(end)] for end in ("low", "high")]
    return "" if np.isnan(ends).any() else f" [{', '.join(number_text(end, decimals) for end in ends)}]"


def over_teachers(results: Results) -> list[Table]:
    """Return the table of effects over seeds and teachers; none where teachers are not crossed with seeds."""
    if results.over_teachers.empty:
        return []
    measured = quantity(results.facts.study.report_metric)
    columns: Columns = {
        "arm": lambda effect: arm_label(effect["arm"], effect["context"]),
        "seeds": "n_seeds",
        "teachers": "n_teachers",
        f"effect [95% interval]{unit_text(measured)}": lambda effect: effect_text(effect, measured.decimals),
        "p": cell(p_text, "p"),
        "p (Holm)": cell(p_text, "p_holm"),
    }
    remark = (
        "A trial is paired with the baseline's at the same seed and teacher. The verdicts speak of these teachers, "
        "over which each arm's scores are averaged at each seed. The intervals here hold for further teachers of the "
        "same recipe, too: seeds and teachers are two crossed random factors."
        f"{' They take no account of looks at the study.' if results.facts.is_looked_at else ''}"
    )
    return [Table("Effects over teachers", rows_of(results.over_teachers, columns), remark)]


def over_contexts(results: Results) -> list[Table]:
    """Return the table of every arm's mean effect over its contexts; none where no arm stands in two contexts."""
    if not (count := len(results.over_contexts)):
        return []
    measured = quantity(results.facts.study.report_metric)
    columns: Columns = {
        "arm": "arm",
        "contexts": "n_contexts",
        "of these above 0": "n_above",
        f"effect [95% interval]{unit_text(measured)}": lambda row: effect_text(row, measured.decimals),
        "in units of noise [95% interval]": lambda row: (
            signed_text(row["effect_in_noise"], 2) + _interval(row, "{}_in_noise", 2)
        ),
        "p": cell(p_text, "p_in_noise"),
        "p (Holm)": cell(p_text, "p_in_noise_holm"),
        VERDICT: "verdict",
        NOTE: lambda arm: "; ".join(
            filter(None, (arm["n_missing"] and f"no effect in {arm['n_missing']} of its contexts", arm["reason"]))
        ),
    }
    remark = (
        "Mean of an arm's effects, each context counted once, with Student's interval over contexts. The verdict over "
        "contexts comes from the effects in units of their context's noise (residual standard deviation beside arm and "
        f"seed): one-sample t test over contexts{sides_text(results.facts.study)}, adjusted by Holm's method over "
        f"{count} arm{'s' * (count != 1)}, from {FEWEST_SAID} contexts on; of fewer, each speaks for itself."
    )
    return [Table("Effects over all contexts", rows_of(results.over_contexts, columns), remark)]


def ranks(results: Results) -> list[Table]:
    """Return the table of every arm's mean rank over the contexts, with its test; none where there is one context."""
    found = results.ranks
    if found.empty:
        return []
    columns: Columns = {
        "arm": "arm",
        "contexts": "n_contexts",
        "ranked in": "n_blocks",
        "mean rank": cell(number_text, "mean_rank", 2),
        "p (adjusted)": lambda arm: "baseline" if arm["is_baseline"] else p_text(arm["p_adjusted"]),
        NOTE: lambda arm: "; ".join(note for note in (arm["missing"], arm["reason"]) if note),
    }
    return [Table("Ranks over all contexts", rows_of(found, columns), rank_test_text(found))]


def rank_test_text(ranks: pd.DataFrame) -> str:
    """Return sentences on what was ranked, on the test, and on how little few contexts can show."""
    ranked = ranks[ranks["mean_rank"].notna()]
    num_blocks = int(ranked["n_blocks"].max()) if len(ranked) else 0
    text = (
        f"{len(ranked)} arms are ranked in {num_blocks} contexts, 1 being the best. A context is a block; an arm's "
        "value in it is its mean effect, the baseline's is 0. Ranks describe: the verdict over contexts is that of the "
        "effects over all contexts. "
    )
    first = ranks.iloc[0]
    few = " So few contexts reveal only a large difference." if num_blocks < MANY_CONTEXTS else ""
    if (ranks["test"] == SKILLINGS_MACK).any():
        return text + (
            f"Not all arms stand in all of them: each is ranked among those of a context. The test of Skillings and "
            f"Mack: chi-square {first['friedman']:.2f}, {p_words(first['friedman_p'])}. p is against the baseline, "
            f"adjusted for all pairs of arms, and no smaller than that of this test.{few}"
        )
    if (ranks["test"] == FRIEDMAN).any():
        return text + (
            f"Friedman's test: chi-square {first['friedman']:.2f}, {len(ranked) - 1} degrees of freedom, "
            f"{p_words(first['friedman_p'])}. Nemenyi's test: two arms are told apart if their mean ranks differ by "
            f"{first['critical_difference']:.2f} or more (the most possible is {len(ranked) - 1}). p is against the "
            f"baseline, adjusted for all pairs of arms, and no smaller than Friedman's.{few}"
        )
    return text + f"A test of ranks needs {FEWEST_ARMS} arms in {FEWEST_CONTEXTS} contexts; none was made."


def interactions(results: Results) -> list[Table]:
    """Return the table of main effects and interactions of a grid or a fraction; none for other designs."""
    found = results.interactions
    if found.empty:
        return []
    measured = quantity(results.facts.study.report_metric)
    models, family = models_and_family(found)
    columns: Columns = {
        "contrast": lambda contrast: arm_label(contrast["contrast"], contrast["context"]),
        "against": "against",
        f"effect [95% interval]{unit_text(measured)}": lambda row: effect_text(row, measured.decimals),
        **{"p": cell(p_text, "p"), "p (Holm)": cell(p_text, "p_holm"), "p (F)": cell(p_text, "factor_p")},
        NOTE: lambda contrast: "; ".join(
            filter(None, (contrast["aliases"] and f"confounded with {contrast['aliases']}", contrast["reason"]))
        ),
    }
    remark = (
        "Contrasts of the arms' means with equal weights on the levels of the other factors (Type III), by "
        f"{models}. A main effect is the difference from the "
        "reference level; an interaction says by how much one factor's difference changes with the other. p (Holm) "
        f"is adjusted over all {family} rows that compare anything; p (F) is of all contrasts of the same factors "
        "together."
    )
    if found["aliases"].any():
        remark += (
            " Effects that the fraction confounds share one figure: an interaction plus the others named or, after a "
            "minus sign, minus them; a main effect plus or minus half of them."
        )
    return [Table("Main effects and interactions", rows_of(found, columns), remark)]
