"""Every arm's mean rank over the contexts, and the test of it."""

from typing import TYPE_CHECKING

from analysis.report.table import NOTE, Rows, Table
from analysis.results import Results
from analysis.statistics.ranks import FEWEST_ARMS, FEWEST_CONTEXTS, FRIEDMAN, MANY_CONTEXTS, MIXED
from analysis.wording import effect_text, number_text, p_text, p_words, quantity, unit_text

if TYPE_CHECKING:
    import pandas as pd


def tables(results: Results) -> list[Table]:
    """Return the table; none where there is one context."""
    if results.ranks.empty:
        return []
    return [Table("Ranks over all contexts", _rows(results), rank_test_text(results.ranks))]


def _rows(results: Results) -> Rows:
    """Return every arm's mean rank over the contexts, and how it differs from the baseline there."""
    measured = quantity(results.facts.study.report_metric)
    by_model = (results.ranks["test"] == MIXED).any()
    effect = [f"effect [95% interval]{unit_text(measured)}"] if by_model else []
    rows = [["arm", "contexts", "ranked in", "mean rank", *effect, "p (adjusted)", NOTE]]
    for _, arm in results.ranks.iterrows():
        counts = [str(arm["n_contexts"]), str(arm["n_blocks"]), number_text(arm["mean_rank"], 2)]
        found = [effect_text(arm, measured.decimals)] if by_model else []
        p = "baseline" if arm["is_baseline"] else p_text(arm["p_adjusted"])
        notes = "; ".join(note for note in (arm["missing"], arm["reason"]) if note)
        rows.append([arm["arm"], *counts, *found, p, notes])
    return rows


def rank_test_text(ranks: "pd.DataFrame") -> str:
    """Return what was ranked, which test was made of it, and how little it can tell where it is little."""
    ranked = ranks[ranks["mean_rank"].notna()]
    num_blocks = int(ranked["n_blocks"].max()) if len(ranked) else 0
    num_contexts = int(ranks["n_contexts"].max())
    text = (
        f"{len(ranked)} arms are ranked in {num_blocks} contexts, 1 being the best. A context is a block; an arm's "
        "value in it is its mean effect at the same seeds, the baseline's is 0. "
    )
    if (ranks["test"] == FRIEDMAN).any():
        first = ranks.iloc[0]
        few = " So few contexts reveal only a large difference." if num_blocks < MANY_CONTEXTS else ""
        return text + (
            f"Friedman's test: chi-square {first['friedman']:.2f}, {len(ranked) - 1} degrees of freedom, "
            f"{p_words(first['friedman_p'])}. Nemenyi's test: two arms are told apart if their mean ranks differ by "
            f"{first['critical_difference']:.2f} or more (the most possible is {len(ranked) - 1}). p is against the "
            f"baseline, adjusted for all pairs of arms, and no smaller than Friedman's.{few}"
        )
    text += f"A test of ranks needs {FEWEST_ARMS} arms in {FEWEST_CONTEXTS} contexts. "
    if (ranks["test"] == MIXED).any():
        family = int((~ranks["is_baseline"]).sum())
        few = ": so few contexts reveal only an effect that is much the same in all of them"
        return text + (
            "The effects are those of a mixed model of all scores (arm in a context and seed in a context random, "
            "restricted maximum likelihood), p by Student's t with the cells' degrees of freedom, adjusted by Holm's "
            f"method over {family} arm{'s' * (family != 1)}{few if num_contexts < FEWEST_CONTEXTS else ''}."
        )
    return text + "No test was made."
