"""The methods paragraph and the provenance of a report, generated from the facts of its run."""

from typing import TYPE_CHECKING

from analysis.report.reading import open_text, reading_text
from analysis.report.recipe import recipe_text
from analysis.report.scope import scope_text
from analysis.report.table import SMOKE
from analysis.report.tables.effects import UNTESTED
from analysis.report.tables.ranks import rank_test_text
from analysis.report.teachers import teachers_text
from analysis.results import Results
from analysis.searches.importance import NUM_RESAMPLES
from analysis.several_runs import AROUND_ONE, SEVERAL, WINS
from analysis.statistics.any_table import reported
from analysis.statistics.interactions import models_and_family
from analysis.statistics.intervals import CONFIDENCE
from analysis.statistics.over_contexts import shared_names
from analysis.statistics.paired import FEWEST_FLIPPED, MOST_FLIPPED
from analysis.statistics.verdicts import LEVEL, Verdict
from analysis.wording import quantity
from cktf.rows import Stage, Status, StudyRow

if TYPE_CHECKING:
    import pandas as pd

_DESIGNS = {
    "one_at_a_time": "one factor at a time was changed from the baseline",
    "compare": "named arms were compared with the baseline",
    "leave_one_out": "one part at a time was left out of the baseline",
    "grid": "the arms are the grid of the factors' levels",
    "fractional": "the arms are a fraction of all combinations of two levels of each factor",
    AROUND_ONE: "studies of several designs, which share their baseline, with which all arms were compared",
    SEVERAL: "each study is a context of its own, whose arms are compared with its own baseline",
}

_SHARED_SEEDS = (
    "All arms share their seeds: at one seed they see the same split, initial student, batches, augmentations and "
    "negatives, but for what a factor or the context changes. A trial is scored after its last epoch, not at its best "
    "one."
)


def methods_text(results: Results) -> str:
    """Return how the numbers came about, in sentences, every figure of them counted in the tables."""
    study, trials = results.facts.study, results.trials
    stages = {stage: trials[trials["stage"] == stage] for stage in Stage}
    sentences = [SMOKE] if study.is_smoke else []
    if foreign := results.facts.foreign:
        sentences.append(f"These results were not measured here; they were read from {foreign.origin}.")
    runs = list(dict.fromkeys(trials["run"]))
    if len(runs) > 1:
        sentences.append(
            f"{len(runs)} runs were read together: {', '.join(runs)}. A trial that several of them hold, as "
            f"{results.facts.num_repeated or 'none'} of these {len(trials)} did, is counted once: the first that is "
            f"{', '.join(WINS[:-1])} or {WINS[-1]}, in this order; of equals that of the run that is named first. So "
            "the two sides of a pair may come from different runs."
        )
    if not (designed := stages[Stage.DESIGN]).empty:
        sentences.append(f"{_counted(len(designed), 'trial')}, {_arms_and_seeds(designed)}: {_DESIGNS[study.design]}.")
    if not (searched := stages[Stage.SEARCH]).empty:
        counts = searched["status"].value_counts()
        unfinished = counts.get(Status.PLANNED, 0) + counts.get(Status.RUNNING, 0)
        sentences.append(
            f"A search over {_counted(len(study.factors), 'factor')}{_by(study)} ran "
            f"{_counted(len(searched), 'trial')} ({counts.get(Status.PRUNED, 0)} pruned, "
            f"{counts.get(Status.FAILED, 0)} failed{f', {unfinished} unfinished' if unfinished else ''}) to "
            f"{'maximise' if study.maximise else 'minimise'} {quantity(study.metric).name}."
        )
    if not (confirmed := stages[Stage.CONFIRM]).empty:
        sentences.append(
            "The best arms of the search and the baseline were then trained again at seeds that the search "
            f"had not used: {_arms_and_seeds(confirmed)}."
        )
    if recipe := recipe_text(trials):
        sentences.append(recipe)
    if told := teachers_text(results.teachers, is_smoke=study.is_smoke):
        sentences.append(told)
    if any(launch.teacher_once for launch in results.facts.launches):
        sentences.append(
            "What the objectives read from the frozen teacher was computed once for each seed and epoch, rounded to "
            "float16, and shared by the trials."
        )
    workers = sorted({launch.workers for launch in results.facts.launches})
    if workers and workers[-1] > 1:
        sentences.append(
            f"Each student was trained by {' or '.join(map(str, workers))} processes together; batch-norm saw each "
            "one's shard alone."
        )
    sentences += foreign.cannot_be_vouched_for if foreign else [_splits_sentence(results)]
    if not results.arms.empty:
        sentences += _comparison_sentences(results)
    judged = results.importance.dropna(subset="importance")
    if not judged.empty:
        pruned = (
            "Pruned arms are counted: by PED-ANOVA as not among the best; by fANOVA, which then compares all arms "
            "after the last epoch that each of them has done. "
        )
        sentences.append(
            "Importances are those of PED-ANOVA (Optuna's: what sets the best tenth of the arms apart, split among the "
            "factors) and of fANOVA (share of the variance of the score, as a forest of trees predicts it over the "
            "whole domain, that a factor explains by itself; interactions have the rest). "
            f"{pruned if judged['n_pruned'].any() else ''}Their intervals are "
            f"percentiles of {NUM_RESAMPLES} bootstrap samples of the arms, fewer where some tell nothing."
        )
    return " ".join(sentences)


def _splits_sentence(results: Results) -> str:
    selects = "The validation split, cut from the training data, is the only one that selects anything; "
    tested = int(results.trials["test_accuracy"].notna().sum())
    if tested:
        return f"{selects}{_counted(tested, 'trial')} read the test split once, at the last epoch."
    return f"{selects}the test split was not read."


def _comparison_sentences(results: Results) -> list[str]:
    effects = results.effects
    study = results.facts.study
    measured = quantity(study.report_metric).name
    of_context = " of its context" if len(results.contexts) > 1 else ""
    is_tested = bool(effects["p"].notna().any())
    interval = f"; its {CONFIDENCE:.0%} interval is Student's" if is_tested else ""
    sentences = [
        *([] if results.facts.foreign else [_SHARED_SEEDS]),
        f"An effect is the mean over seeds of the difference in {measured} between an arm and the baseline"
        f"{of_context} at the same seed{interval}.",
        *([scope] if (scope := scope_text(results)) else []),
    ]
    if is_tested:
        sentences += _test_sentences(results)
    elif not effects.empty:
        sentences.append(f"{UNTESTED}.")
    if (effects["verdict"] == Verdict.FAILED).any():
        sentences.append("An arm without a result at any of its seeds is called failed; it counts as compared.")
    if not results.over_contexts.empty:
        sentences.append(
            "Over contexts, an arm's effects are averaged, each context counted once; interval and p are Student's, "
            "with the contexts as the sample: they speak of other contexts only if these were drawn from them, and "
            "take no account of the seeds that contexts share."
        )
    if not results.ranks.empty:
        sentences.append(rank_test_text(results.ranks))
    if results.interactions["p"].notna().any():
        models, family = models_and_family(results.interactions)
        sentences.append(
            "Main effects and two-factor interactions are contrasts with equal weights on the levels of the other "
            f"factors (Type III), by {models}; their p values are adjusted by Holm's method over "
            f"{_counted(family, 'contrast')}."
        )
        if study.design == "fractional":
            others = ", and some of them with one another, as the table says"
            sentences.append(
                "In a fraction, these effects are confounded with interactions of three or more factors"
                f"{others if results.interactions['aliases'].any() else ''}."
            )
    pool = reported(results.trials)
    unfinished = pool.loc[pool["status"] != Status.COMPLETE, "status"].value_counts()
    if not unfinished.empty:
        states = ", ".join(f"{count} {state}" for state, count in unfinished.items())
        sentences.append(
            f"Of {_counted(len(pool), 'trial')}, {unfinished.sum()} gave no result ({states}); the table "
            "names their seeds; the pairs that they belong to are left out."
        )
    if study.reference_source:
        sentences.append(
            f"Reference values are those of {study.reference_source}; they were not measured here, and nothing is "
            "computed from them."
        )
    return sentences


def _test_sentences(results: Results) -> list[str]:
    study, count = results.facts.study, len(results.effects)
    measured = quantity(study.report_metric)
    adjusted = (
        "its p needs no adjustment, for there is one comparison"
        if count == 1
        else f"its p values are adjusted by Holm's method over {count} comparisons, those that could not be tested "
        "included"
    )
    sentences = [
        "The test that decides is the paired t test, two-sided, in every study and at every number of seeds; "
        f"{adjusted}. An arm helps or hurts where the adjusted p is below {LEVEL}. {reading_text(results)}",
    ]
    if study.delta is None:
        sentences.append("No smallest effect that matters was stated, so no arm could be called equivalent.")
    else:
        sentences.append(
            f"An arm is equivalent where two one-sided t tests, adjusted likewise, show its effect to be within "
            f"±{study.delta:g} {measured.difference_unit}".rstrip()
            + ", the smallest effect that matters. Wrong words of both kinds together come in at most 10% of studies."
        )
    stated = list(dict.fromkeys(launch.delta for launch in results.facts.launches))
    if len(stated) > 1:
        named = ", then ".join("none" if delta is None else f"{delta:g}" for delta in stated)
        sentences.append(
            f"The smallest effect that matters was changed between launches ({named}): results may have been seen by "
            "then."
        )
    flipped = int(results.effects["p_flip"].notna().sum())
    if flipped:
        sentences.append(
            f"The exact sign-flip test stands beside the t test, for the "
            f"{_counted(flipped, 'comparison')} with {FEWEST_FLIPPED} to "
            f"{MOST_FLIPPED} pairs (fewer cannot reach p < 0.05); it decides nothing."
        )
    if of_open := open_text(results):
        sentences.append(of_open)
    sentences.append(
        "Judging a study again after seeds were added to it is another chance to err, which no p here accounts for: "
        "judged at 5, 8, 12 and 20 seeds, 13% of studies without any effect err instead of 5%."
    )
    return sentences


def _by(study: StudyRow) -> str:
    """Return what led a search, between commas; nothing where that is not known."""
    if not study.sampler:
        return ""
    pruner = f" and its pruner {study.pruner}" if study.pruner else ""
    return f", by Optuna's sampler {study.sampler}{pruner},"


def _arms_and_seeds(trials: "pd.DataFrame") -> str:
    seeds = _counted(trials["seed"].nunique(), "seed")
    if (contexts := trials["context"].nunique()) > 1:
        arms = shared_names(trials).nunique()
        return f"{_counted(arms, 'arm')} in {contexts} contexts × {seeds}"
    return f"{_counted(trials['arm_id'].nunique(), 'arm')} × {seeds}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
