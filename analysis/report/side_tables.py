"""Tables beside the answer: effects over contexts, combined factors, and what stands behind the verdicts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.report.table import NOTE, VERDICT, Rows, Table, directed, marked, unmade_table
from analysis.report.teachers import NEAR_CHANCE
from analysis.results import Results
from analysis.searches.confirmed import luck_text
from analysis.searches.importance import importance_text
from analysis.statistics.health import PREFIX, moved_most, number_label
from analysis.statistics.interactions import models_and_family
from analysis.statistics.paired import FEWEST_FLIPPED
from analysis.statistics.pairing import FEWEST_CORRELATED, FEWEST_UNPAIRED
from analysis.statistics.ranks import FEWEST_ARMS, FEWEST_CONTEXTS, FRIEDMAN, MANY_CONTEXTS, MIXED
from analysis.statistics.verdicts import POWER
from analysis.wording import (
    ABSENT,
    Quantity,
    effect_text,
    interval_text,
    number_text,
    p_text,
    p_words,
    quantity,
    signed_text,
    unit_text,
)
from cktf.names import arm_label

if TYPE_CHECKING:
    import pandas as pd


MOST_MOVED = 3
"""Numbers of the distillation's health that are told of each arm."""

WITHOUT_DIRECTION = {"health", "importances", "teachers"}
"""Tables whose figures are not of the metric."""


HEALTH_DECIMALS = 3
"""Digits after the point of these numbers."""


Found = dict[str, Table]
"""Tables by name."""


def side_tables(results: Results) -> Found:
    """Return the tables that there are, by name; of one that could not be made, the reason is its only cell."""
    found: Found = {}
    for name, add in SIDE.items():
        try:
            add(results, found)
        except Exception as error:  # whatever it is, the other tables are worth having
            found[name] = unmade_table(name.replace("_", " ").capitalize(), error)
    return {
        name: marked(table if name in WITHOUT_DIRECTION else directed(table, results), results)
        for name, table in found.items()
    }


def _add_over_contexts(results: Results, found: Found) -> None:
    if count := len(results.over_contexts):
        found["over_contexts"] = Table(
            "Effects over all contexts",
            over_contexts_rows(results),
            "Mean of an arm's effects, each context counted once, with Student's interval over contexts; p by the "
            f"one-sample t test, adjusted by Holm's method over {count} arm{'s' * (count != 1)}.",
        )


def _add_ranks(results: Results, found: Found) -> None:
    if not results.ranks.empty:
        found["ranks"] = Table("Ranks over all contexts", rank_rows(results), rank_test_text(results.ranks))


def _add_interactions(results: Results, found: Found) -> None:
    if not results.interactions.empty:
        models, family = models_and_family(results.interactions)
        found["interactions"] = Table(
            "Main effects and interactions",
            interaction_rows(results),
            "Contrasts of the arms' means with equal weights on the levels of the other factors (Type III), by "
            f"{models}. A main effect is the difference from the "
            "reference level; an interaction says by how much one factor's difference changes with the other. p (Holm) "
            f"is adjusted over all {family} rows that compare anything; p (F) is of all contrasts of the same factors "
            f"together.{_confounded(results)}",
        )


def _add_teachers(results: Results, found: Found) -> None:
    if not results.teachers.empty:
        found["teachers"] = Table(
            "Teachers",
            teacher_rows(results),
            "Each on a validation split of the data set whose classes it knows: one from a file on that of the study's "
            "first seed, one that was trained on that of its own training. Chance is the share of the split's largest "
            "class.",
        )


def _add_pairing(results: Results, found: Found) -> None:
    if not results.effects.empty:
        found["pairing"] = Table(
            "Pairing, effect sizes and other tests",
            pairing_rows(results),
            pairing_text(results),
        )


def _add_health(results: Results, found: Found) -> None:
    if not (moved := moved_most(results.health, MOST_MOVED)).empty:
        found["health"] = Table(
            "What else moved",
            health_rows(moved),
            f"Of each arm the {MOST_MOVED} numbers of the distillation's health (see the figure) whose difference from "
            "the baseline, paired by seed, is largest relative to its standard error, where they were measured last. "
            f"Their intervals are Student's, those of the selected: {_levels(moved)}, so that of those shown 5% "
            "miss on average (false-coverage rate over an arm's numbers, Benjamini and Yekutieli 2005). p (Holm) is "
            f"adjusted over all {len(results.health)} differences of all arms: it says which number has moved.",
        )


def _add_confirmed(results: Results, found: Found) -> None:
    if not results.confirmed.empty:
        metric = quantity(results.facts.study.metric).name
        found["confirmed"] = Table(
            "Confirmed arms: search score and fresh seeds",
            confirmed_rows(results),
            f"Search score: {metric} in the search, which selected the arms. Mean: the same at fresh seeds, with "
            f"Student's 95% interval. Above fresh: the first minus the second. {luck_text(results.facts.study)} "
            "Effect: against the baseline at the same fresh seeds, on "
            f"{quantity(results.facts.study.report_metric).name}.",
        )


def _add_importances(results: Results, found: Found) -> None:
    if results.importance["importance"].notna().any():
        found["importances"] = Table(
            "Importance of the factors",
            importance_rows(results),
            f"{importance_text(results.importance)} First: in what percentage of the samples a factor has the largest "
            "share.",
        )


SIDE = {
    "over_contexts": _add_over_contexts,
    "ranks": _add_ranks,
    "interactions": _add_interactions,
    "teachers": _add_teachers,
    "pairing": _add_pairing,
    "health": _add_health,
    "confirmed": _add_confirmed,
    "importances": _add_importances,
}
"""Name of a table to what adds it where there is anything to tell, in the order of the page."""


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


def pairing_text(results: Results) -> str:
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


def health_rows(moved: "pd.DataFrame") -> Rows:
    """Return what has moved most in each arm."""
    rows = [["arm", "number", "pairs", "baseline", "mean", "difference [interval]", "p (Holm)"]]
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


def _levels(moved: "pd.DataFrame") -> str:
    """Return the confidence of the intervals of what has moved most, in words."""
    levels = sorted({f"{100 * confidence:.4g}%" for confidence in moved["confidence"]})
    return f"{', '.join(levels)} each" if len(levels) < 4 else f"{levels[0]} to {levels[-1]}"


def importance_rows(results: Results) -> Rows:
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


def _unit(measured: Quantity) -> str:
    return f" ({measured.unit})" if measured.unit else ""
