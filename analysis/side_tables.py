"""Tables beside the answer: effects over contexts, combined factors, and what stands behind the verdicts."""

from typing import TYPE_CHECKING

from analysis.health import PREFIX, moved_most, number_label
from analysis.importance import importance_text
from analysis.paired import FEWEST_FLIPPED
from analysis.quantities import Quantity, quantity
from analysis.ranks import FEWEST_ARMS, FEWEST_CONTEXTS, FRIEDMAN, MANY_CONTEXTS, MIXED
from analysis.results import Results
from analysis.tables import (
    ABSENT,
    NOTE,
    VERDICT,
    Rows,
    Table,
    effect_text,
    marked,
    number_text,
    p_text,
    p_words,
    signed_text,
    unit_text,
)
from analysis.teachers import NEAR_CHANCE
from cktf.names import arm_label

if TYPE_CHECKING:
    import pandas as pd


MOST_MOVED = 3
"""Numbers of the distillation's health that are told of each arm."""

HEALTH_DECIMALS = 3
"""Digits after the point of these numbers."""


def side_tables(results: Results) -> dict[str, Table]:
    """Return the tables that there are, by name."""
    found = {}
    if count := len(results.over_contexts):
        found["over_contexts"] = Table(
            "Effects over all contexts",
            over_contexts_rows(results),
            "Mean of an arm's effects, each context counted once, with Student's interval over contexts; p by the "
            f"one-sample t test, adjusted by Holm's method over {count} arm{'s' * (count != 1)}.",
        )
    if not results.ranks.empty:
        found["ranks"] = Table("Ranks over all contexts", rank_rows(results), rank_test_text(results.ranks))
    if not results.interactions.empty:
        found["interactions"] = Table(
            "Main effects and interactions",
            interaction_rows(results),
            "Contrasts of the arms' means with equal weights on the levels of the other factors (Type III), by "
            f"{'; or by '.join(results.interactions['model'].unique())}. A main effect is the difference from the "
            "reference level; an interaction says by how much one factor's difference changes with the other. p (Holm) "
            f"is adjusted over all {len(results.interactions)} rows; p (F) is of all contrasts of the same factors "
            f"together.{_confounded(results)}",
        )
    if not results.teachers.empty:
        found["teachers"] = Table(
            "Teachers",
            teacher_rows(results),
            "Each on a validation split of the data set whose classes it knows: one from a file on that of the study's "
            "first seed, one that was trained on that of its own training. Chance is the share of the split's largest "
            "class.",
        )
    if not results.effects.empty:
        found["pairing"] = Table(
            "Pairing, effect sizes and other tests",
            pairing_rows(results),
            "Correlation of arm and baseline over the seeds; the seeds that each of them would need, unpaired, for the "
            "same standard error; the effect in standard deviations of the differences (g_z: d_z with Hedges' "
            f"correction); the exact sign-flip test, from {FEWEST_FLIPPED} pairs on, which decides nothing.",
        )
    if not (moved := moved_most(results.health, MOST_MOVED)).empty:
        found["health"] = Table(
            "What else moved",
            health_rows(moved),
            f"Of each arm the {MOST_MOVED} numbers of the distillation's health (see the figure) whose difference from "
            "the baseline, paired by seed, is largest relative to its standard error, where they were measured last; "
            f"with Student's 95% interval. p (Holm) is adjusted over all {len(results.health)} differences of all "
            "arms, of which these are the largest: an interval alone does not show that a number has moved.",
        )
    if not results.confirmed.empty:
        metric = quantity(results.facts.study.metric).name
        found["confirmed"] = Table(
            "Confirmed arms: search score and fresh seeds",
            confirmed_rows(results),
            f"Search score: {metric} in the search, which selected the arms. Mean: the same at fresh seeds, with "
            "Student's 95% interval. Shrinkage: by how much the search score was too good. Effect: against the "
            f"baseline at the same fresh seeds, on {quantity(results.facts.study.report_metric).name}.",
        )
    if results.importance["importance"].notna().any():
        found["importances"] = Table(
            "Importance of the factors",
            importance_rows(results),
            f"{importance_text(results.importance)} First: in what percentage of the samples a factor has the largest "
            "share.",
        )
    return {name: marked(table, results) for name, table in found.items()}


def over_contexts_rows(results: Results) -> Rows:
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


def teacher_rows(results: Results) -> Rows:
    """Return how well every teacher does."""
    decimals = quantity("validation_accuracy").decimals
    is_smoke = results.facts.study.is_smoke
    head = ["teacher", "data", "origin", "validation accuracy (%)", "loss", "images", "classes", "chance (%)"]
    rows = [[*head, "test accuracy (%)", NOTE]]
    counted = results.teachers.astype(
        {"validation_images": float, "num_classes": float}
    )  # which may be missing
    for _, teacher in counted.iterrows():
        counts = [number_text(teacher[name], 0) for name in ("validation_images", "num_classes")]
        rows.append(
            [
                arm_label(teacher["model"], teacher["contexts"]),
                teacher["data"],
                teacher["origin"],
                number_text(teacher["validation_accuracy"], decimals),
                number_text(teacher["validation_loss"], HEALTH_DECIMALS),
                *counts,
                number_text(teacher["chance"], decimals),
                number_text(teacher["test_accuracy"], decimals),
                NEAR_CHANCE if teacher["near_chance"] and not is_smoke else "",
            ]
        )
    return rows


def rank_rows(results: Results) -> Rows:
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


def interaction_rows(results: Results) -> Rows:
    """Return the main effects and interactions of a grid or a fraction."""
    measured = quantity(results.facts.study.report_metric)
    rows = [
        ["contrast", "against", f"effect [95% interval]{unit_text(measured)}", "p", "p (Holm)", "p (F)", NOTE]
    ]
    for _, found in results.interactions.iterrows():
        tests = [p_text(found[name]) for name in ("p", "p_holm", "factor_p")]
        named = arm_label(found["contrast"], found["context"])
        effect = effect_text(found, measured.decimals)
        aliases = f"confounded with {found['aliases']}" if found["aliases"] else ""
        notes = "; ".join(note for note in (aliases, found["reason"]) if note)
        rows.append([named, found["against"], effect, *tests, notes])
    return rows


def _confounded(results: Results) -> str:
    """Return how a row is read whose effect cannot be told from others; nothing where there is none."""
    if not results.interactions["aliases"].any():
        return ""
    return (
        " Effects that the fraction confounds share one figure: an interaction plus the others named or, after a minus "
        "sign, minus them; a main effect plus or minus half of them."
    )


def pairing_rows(results: Results) -> Rows:
    """Return for every arm of every context what stands behind its verdict, beside the deciding test."""
    has_delta = results.facts.study.delta is not None
    equivalence = ["p (equivalence)", "p (equivalence, Holm)"] if has_delta else []
    head = ["arm", "pairs", "correlation", "seeds if unpaired", "g_z", "p (t)", *equivalence, "p (sign flip)"]
    rows = [head]
    for _, effect in results.effects.iterrows():
        tests = ["p", *(["p_equivalence", "p_equivalence_holm"] if has_delta else []), "p_flip"]
        rows.append(
            [
                arm_label(effect["arm"], effect["context"]),
                str(effect["n_pairs"]),
                number_text(effect["correlation"], 2),
                number_text(effect["n_unpaired"], 1),
                signed_text(effect["hedges_gz"], 2),
                *(p_text(effect[name]) for name in tests),
            ]
        )
    return rows


def health_rows(moved: "pd.DataFrame") -> Rows:
    """Return what has moved most in each arm."""
    rows = [["arm", "number", "pairs", "baseline", "mean", "difference [95% interval]", "p (Holm)"]]
    for _, found in moved.iterrows():
        means = [number_text(found[name], HEALTH_DECIMALS) for name in ("baseline_mean", "mean")]
        named = arm_label(found["arm"], found["context"])
        difference = effect_text(found, HEALTH_DECIMALS)
        label = number_label(PREFIX + found["number"])
        rows.append([named, label, str(found["n_pairs"]), *means, difference, p_text(found["p_holm"])])
    return rows


def confirmed_rows(results: Results) -> Rows:
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
            f"shrinkage{unit_text(measured)}",
            f"effect [95% interval]{unit_text(reported)}",
            VERDICT,
        ]
    ]
    for _, arm in results.confirmed.iterrows():
        mean = number_text(arm["mean"], measured.decimals)
        if arm["n"] > 1:
            ends = (number_text(arm[name], measured.decimals) for name in ("low", "high"))
            mean += f" [{', '.join(ends)}]"
        effect = arm[["effect", "effect_low", "effect_high"]]
        effect = effect.rename({"effect_low": "low", "effect_high": "high"})
        rows.append(
            [
                arm["arm"],
                number_text(arm["rank"], 0),
                number_text(arm["search_score"], measured.decimals),
                str(arm["n"]),
                mean,
                signed_text(arm["shrinkage"], measured.decimals),
                "baseline" if arm["is_baseline"] else effect_text(effect, reported.decimals),
                arm["verdict"] or ABSENT,
            ]
        )
    return rows


def importance_rows(results: Results) -> Rows:
    """Return every factor's importance by both evaluators, with intervals and how often it came first."""
    found = results.importance.set_index(["method", "factor"])
    methods = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}
    head = [f"{text}{part}" for text in methods.values() for part in (" [95% interval]", ", first in %")]
    rows = [["factor", *head, NOTE]]
    for factor in dict.fromkeys(results.importance["factor"]):
        both = [found.loc[(method, factor)] for method in methods]
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


def _unit(measured: Quantity) -> str:
    return f" ({measured.unit})" if measured.unit else ""
