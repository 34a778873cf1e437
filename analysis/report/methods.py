"""The methods paragraph of a report, written from its run."""

import pandas as pd

from analysis.report.pages import rendered
from analysis.report.provenance import launch_time
from analysis.report.reading import (
    clusters_text,
    family_text,
    held_for_text,
    images_text,
    looks_text,
    open_text,
    reading_text,
    scope_text,
    sides_text,
    test_text,
)
from analysis.report.recipe import arms_text, recipe_text, values_text
from analysis.report.table import SMOKE
from analysis.report.tables.comparisons import rank_test_text
from analysis.report.tables.distillation import teachers_text
from analysis.report.tables.effects import UNTESTED
from analysis.results import Results
from analysis.searches.importance import NUM_RESAMPLES
from analysis.several_runs import AROUND_ONE, SEVERAL, WINS
from analysis.statistics.any_table import of_fixed_arms
from analysis.statistics.interactions import models_and_family
from analysis.statistics.over_contexts import shared_names
from analysis.statistics.over_teachers import TEACHER_SEED, are_crossed, taught
from analysis.statistics.paired import FEWEST_FLIPPED, MOST_FLIPPED, WELCH
from analysis.wording import counted, quantity
from cktf.rows import Alternative, Family, Stage, Status, StudyRow
from cktf.verdicts import LEVEL, Verdict

_SOFTWARE = {"cktf": "CKTF", "torch": "PyTorch"}
"""Packages whose versions the methods paragraph names."""

_DESIGNS = {
    "one_at_a_time": "one factor at a time was changed from the baseline",
    "compare": "named arms were compared with the baseline",
    "leave_one_out": "one part at a time was left out of the baseline",
    "grid": "the arms are the grid of the factors' levels",
    "fractional": "the arms are a fraction of all combinations of two levels of each factor",
    AROUND_ONE: "studies of several designs, which share their baseline, with which all arms were compared",
    SEVERAL: "each study is a context of its own, whose arms are compared with its own baseline",
}


def methods_text(results: Results) -> str:
    """Return the methods paragraph; every number in it is computed from the tables."""
    facts, study, trials, effects = results.facts, results.facts.study, results.trials, results.effects
    designed, searched, confirmed = (
        trials[trials["stage"] == stage] for stage in (Stage.DESIGN, Stage.SEARCH, Stage.CONFIRM)
    )
    ended = searched["status"].value_counts()
    pool = of_fixed_arms(trials)
    unfinished = pool.loc[pool["status"] != Status.COMPLETE, "status"].value_counts()
    models, family = ("", 0)
    if results.interactions["p"].notna().any():
        models, family = models_and_family(results.interactions)
    judged = results.importance.dropna(subset="importance")
    pruner = f" and its pruner {study.pruner}" if study.pruner else ""
    deltas = dict.fromkeys(launch.delta for launch in facts.launches)
    text = rendered(
        "methods.txt",
        {
            "study": study,
            "facts": facts,
            "foreign": facts.foreign,
            "smoke": SMOKE,
            "counted": counted,
            "runs": list(dict.fromkeys(trials["run"])),
            "wins": WINS,
            "num_trials": len(trials),
            "num_designed": len(designed),
            "designed": _arms_and_seeds(designed),
            "designs": _DESIGNS | ({"compare": "named arms were trained beside a baseline"} if study.contrasts else {}),
            "num_searched": len(searched),
            "observed": sum(len(launch.warm_start.get("observations", ())) for launch in facts.launches),
            "sampler": f", by Optuna's sampler {study.sampler}{pruner}," if study.sampler else "",
            "ended": {
                "pruned": ended.get(Status.PRUNED, 0),
                "failed": ended.get(Status.FAILED, 0),
                "unfinished": ended.get(Status.PLANNED, 0) + ended.get(Status.RUNNING, 0),
            },
            "aims": " and ".join(
                f"{'maximise' if larger else 'minimise'} {quantity(name).name}"
                for name, larger in study.directions.items()
            ),
            "confirmed": "" if confirmed.empty else _arms_and_seeds(confirmed),
            "recipe": f"{recipe_text(trials)} {arms_text(trials)}".strip(),
            "validation_share": values_text(trials, "data.validation_fraction", "%"),
            "software": ", ".join(dict.fromkeys(filter(None, map(_software, facts.launches)))),
            "teachers": teachers_text(results.teachers, is_smoke=study.is_smoke),
            "teacher_once": any(launch.teacher_once and launch.workers == 1 for launch in facts.launches),
            "workers": sorted({launch.workers for launch in facts.launches}),
            "synced": values_text(trials, "sync_batch_norm"),
            "num_tested": 0 if facts.foreign else int(trials["test_accuracy"].notna().sum()),
            "has_arms": not results.arms.empty,
            "reported": quantity(study.report_metric),
            "several_contexts": len(results.contexts) > 1,
            "planned": planned_text(results),
            "grown": grown_text(results),
            "other": "the baseline" if effects["against_baseline"].all() else "the arm that it is compared with",
            "family": family_text(results),
            "is_one_sided": study.alternative != Alternative.TWO_SIDED,
            "sides": sides_text(study) or ", two-sided, in every study and",
            "test": test_text(results),
            "clusters": clusters_text(results),
            "any_apart": effects["test"].str.startswith(WELCH).any(),
            "are_paired": (effects["n_pairs"] > 0).any() or not effects["n_arm"].any(),
            "interval": "repeated" if study.looks else "the mixture t's" if facts.is_extended else "Student's",
            "looked": looks_text(results),
            "is_tested": effects["p"].notna().any(),
            "num_effects": len(effects),
            "scope": scope_text(results),
            "held_for": " ".join(filter(None, (held_for_text(results, context) for context in results.contexts))),
            "over_teachers": not results.over_teachers.empty,
            "level": LEVEL,
            "reading": reading_text(results),
            "images": images_text(results),
            "deltas": ["none" if delta is None else f"{delta:g}" for delta in deltas],
            "num_flipped": int(effects["p_flip"].notna().sum()),
            "fewest_flipped": FEWEST_FLIPPED,
            "most_flipped": MOST_FLIPPED,
            "open": open_text(results),
            "untested": UNTESTED,
            "any_failed": (effects["verdict"] == Verdict.FAILED).any(),
            "over_contexts": not results.over_contexts.empty,
            "ranks": "" if results.ranks.empty else rank_test_text(results.ranks),
            "models": models,
            "num_contrasts": family,
            "has_aliases": models and results.interactions["aliases"].any(),
            "unfinished": unfinished.to_dict(),
            "states": ", ".join(f"{count} {state}" for state, count in unfinished.items()),
            "num_pool": len(pool),
            "importances": not judged.empty,
            "has_pruned": judged["n_pruned"].any(),
            "num_resamples": NUM_RESAMPLES,
        },
    )
    return " ".join(line for line in text.split("\n") if line)


def planned_text(results: Results) -> str:
    """Return which comparisons were planned, or that none were; empty for the usual ones, with the baseline."""
    study = results.facts.study
    pairs = [f"{names[0]} against {names[-1]}" for names in study.contrasts if len(names) > 1]
    if len(pairs) < len(study.contrasts):
        pairs.insert(0, "every arm against the baseline")
    named = f"Compared were: {'; '.join(pairs)}." if pairs and not study.is_afterthought else ""
    if afterthought := results.facts.afterthought:
        against = f" Every arm is compared with {study.contrasts[0][1]}." if study.is_afterthought else f" {named}"
        return f"{afterthought}{against}".rstrip()
    if not (pairs or study.alternative != Alternative.TWO_SIDED or study.family != Family.STUDY):
        return ""
    later = ", but for what was added later" if grown_text(results) else ""
    subject = "this" if named else "the question"
    when = f"{subject.capitalize()} was fixed in the study file before its first result{later}."
    if results.facts.foreign:
        when = f"Whether {subject} was fixed before the results were seen is not known here."
    return f"{named} {when}".lstrip()


def grown_text(results: Results) -> str:
    """Return what was added to the study after its launch, when, and in which family; empty if nothing was."""
    said = {(launch.run, launch.added): launch for launch in results.facts.launches if launch.added}  # once, if killed
    parts = "; ".join(f"{launch_time(each)}: {each.added}" for each in said.values())
    family = "" if results.effects.empty else " Families of comparisons are those of the study as it is now."
    return f"Added after the launch, when results may have been seen: {parts}.{family}" if parts else ""


def _arms_and_seeds(trials: pd.DataFrame) -> str:
    counts = trials.groupby("arm_id")["seed"].nunique()  # they differ in a race, and where runs are read together
    seeds = (f"{counts.min()} to " if counts.min() < counts.max() else "") + counted(counts.max(), "seed")
    if are_crossed(trials):
        of_several = taught(trials)
        seeds += f" × {counted(of_several[TEACHER_SEED].nunique(), 'teacher')}"
        names = shared_names(trials)  # an arm of several contexts counts once, as in the number before
        alone = names[~names.index.isin(of_several["arm_id"])].nunique()
        seeds += f" ({counted(alone, 'arm')} with one or none)" * bool(alone)
    if (contexts := trials["context"].nunique()) > 1:
        return f"{counted(shared_names(trials).nunique(), 'arm')} in {contexts} contexts × {seeds}"
    return f"{counted(trials['arm_id'].nunique(), 'arm')} × {seeds}"


def _software(launch: StudyRow) -> str:
    return ", ".join(f"{word} {launch.versions[name]}" for name, word in _SOFTWARE.items() if launch.versions.get(name))
