"""Sentences on how to read the effects of a report: tests, intervals, open verdicts, and their population."""

import re

import pandas as pd

from analysis.results import Results
from analysis.statistics.any_table import complete, of_fixed_arms
from analysis.statistics.over_teachers import are_crossed, taught
from analysis.statistics.paired import WELCH, direction
from analysis.statistics.verdicts import ASSURANCE, FEWEST_FOR_A_NUMBER, POWER
from analysis.wording import counted, quantity, simultaneous_text
from cktf.rows import Alternative, Family, Status, StudyRow
from cktf.verdicts import LEVEL, Verdict

MOST_TEACHERS = 6
"""Largest number of teachers that are named in one sentence."""


def sides_text(study: StudyRow) -> str:
    """Return what a one-sided test is to show, after a comma; empty for a two-sided one."""
    if study.alternative == Alternative.TWO_SIDED:
        return ""
    measured = quantity(study.report_metric)
    by = f"{abs(study.margin):g}{' ' if measured.difference_unit else ''}{measured.difference_unit}"
    if study.margin < 0:
        other = "better" if study.alternative == Alternative.WORSE else "worse"
        return f", one-sided: that an arm is not {other} by {by} or more"
    return f", one-sided: that an arm is {study.alternative}{f' by more than {by}' if study.margin else ''}"


def margin_text(study: StudyRow) -> str:
    """Return the effect from which a test tells others: the margin, in the direction that it looks in, or 0."""
    return f"{direction(study.alternative, maximise=study.maximise) * study.margin:g}" if study.margin else "0"


def test_text(results: Results) -> str:
    """Return the test that decides, in words."""
    if results.facts.study.looks:
        return "the paired t test at the looks of a race, by sequential p"
    if results.facts.is_extended:
        return "the mixture t, whose p hold at any number of seeds"
    tests = results.effects["test"]
    is_apart = tests.str.startswith(WELCH)
    words = "the paired t test"
    if is_apart.any():
        words = "Welch's t test of unpaired seeds"
        if (~is_apart & tests.ne("none")).any():
            words = "the paired t test (Welch's where two arms have no seed in common)"
    foreign = results.facts.foreign
    return f"{words} over clusters (column {foreign.cluster})" if foreign and foreign.cluster else words


def clusters_text(results: Results) -> str:
    """Return sentences on clusters, which take the place of seeds; empty where trials are in none."""
    foreign = results.facts.foreign
    if foreign is None or not foreign.cluster:
        return ""
    return (
        f"Trials of one cluster (column {foreign.cluster}) have something in common, so each cluster counts once: an "
        "arm's score in it is the mean over its seeds, and where seeds are spoken of, clusters are meant. Folds of one "
        "cross-validation share most of their training images: of other images they say less than so many clusters "
        "that share none."
    )


def looks_text(results: Results) -> str:
    """Return sentences on the looks at the study, and on how the statistics account for them."""
    study, facts = results.facts.study, results.facts
    if study.looks:
        had = [f"{look.seeds}" for look in facts.looks]
        so_far = f"those at {', '.join(had)} are over" if had else "none is over"
        return (
            f"The study is a race with looks at {', '.join(map(str, study.looks))} complete seeds, of which {so_far}. "
            "An arm that was decided at one, or was hopeless, got no more seeds. A sequential p is the smallest level "
            f"at which any look so far rejects; the looks spend a level together ({study.spending}). Intervals are "
            "repeated ones, of the last look. Effects that were decided early are too large on average, for luck is "
            "one of the reasons why they were."
        )
    reports = f" Reports on the way that are on record: {facts.num_reports}." if facts.num_reports else ""
    if facts.is_extended:
        why = "Seeds were added after the launch"
        if study.is_afterthought and any(row.looks for row in facts.launches):
            why = "The number of seeds depends on the looks of a race, which asked something else"
        unbounded = results.effects["p"].notna() & results.effects["low"].isna()
        few = " An effect without an interval has too few seeds for this test to bound it." if unbounded.any() else ""
        return (
            f"{why}, so verdicts and intervals are those of the mixture t (g = 1), which account for any number of "
            f"looks; Student's fixed p would not.{few}{reports}"
        )
    now = "The study is not finished, so this report is a look on the way. " if is_look(results) else ""
    return (
        f"{now}Judging a study more than once, on the way or after seeds were added, is another chance to err: judged "
        "at 5, 8, 12 and 20 seeds, 13% of studies without any effect err instead of 5%. Of all p here, p_anytime alone "
        f"accounts for it.{reports}"
    )


def is_look(results: Results) -> bool:
    """Return whether a report of these results is a look that no plan accounts for: on the way, or at added seeds."""
    is_open = of_fixed_arms(results.trials)["status"].isin((Status.PLANNED, Status.RUNNING)).any()
    return not results.facts.study.looks and bool(is_open or results.facts.is_extended)


def family_text(results: Results) -> str:
    """Return over which comparisons p is adjusted."""
    sizes = set(results.effects["n_family"]) or {0}
    least, most = min(sizes), max(sizes)
    if results.facts.study.family == Family.CONTEXT and len(results.contexts) > 1:
        count = f"{most}" if least == most else f"{least} to {most}"
        return f"over the comparisons of each context ({count})"
    return f"over {most} comparison{'s' * (most != 1)}"


def reading_text(results: Results) -> str:
    """Return sentences on which interval belongs to which verdict."""
    study, count = results.facts.study, max(results.effects["n_family"], default=1)
    sign, bound = direction(study.alternative, maximise=study.maximise), margin_text(study)
    text = "Helps or hurts goes with a 95% interval that leaves out 0."
    if sign:
        side = "above" if sign > 0 else "below"
        text = f"What is to be shown goes with a 90% interval that lies {side} {bound}."
    told = f"lies {side} {bound}, that is shown" if sign else "leaves out 0, the effect is told from 0"
    if count != 1:
        of_each = (2 if sign else 1) * LEVEL
        together = "studies" if study.family == Family.STUDY else "contexts"
        simultaneous = (
            f"Simultaneous intervals ({simultaneous_text(results.effects, of_each)} each; thin in the forest) hold all "
            f"together in {1 - of_each:.0%} of {together}: where one {told}."
        )
        if results.effects["low_simultaneous"].isna().all():
            simultaneous = "Simultaneous intervals are unbounded at so few seeds."
        text = (
            "An interval, and an unadjusted p, hold for one comparison alone, so an interval may "
            f"{f'lie {side} {bound}' if sign else 'leave out 0'} where the verdict is undecided. {simultaneous}"
        )
    if study.delta is not None:
        adjusted = "" if count == 1 else ", before the adjustment"
        which = "95%" if count == 1 else "simultaneous"
        text += (
            f" By more than delta: the {which} interval lies beyond it. And above 0: the effect is told from 0, too."
        )
        if not results.facts.is_looked_at:
            text += f" Equivalent goes with a 90% interval within ±delta{adjusted} (thick in the forest)."
    return text


def images_text(results: Results) -> str:
    """Return what the intervals over unseen images mean; empty where there are none."""
    if results.effects["low_images"].isna().all():
        return ""
    return (
        "The interval also over unseen images takes seeds and test images as two crossed samples, where that of the "
        "effect is of these images alone; no verdict comes from it."
    )


def open_text(results: Results) -> str:
    """Return a text on the number beside an undecided verdict; empty if no arm is undecided, or none was tested."""
    effects, study = results.effects, results.facts.study
    is_open = effects["verdict"].eq(Verdict.UNDECIDED) & effects["detectable"].notna()
    if not is_open.any():
        return ""
    counts = effects.loc[is_open, "n_family"]
    level = " to ".join(
        dict.fromkeys(f"{LEVEL}/{count}" if count > 1 else f"{LEVEL}" for count in (max(counts), min(counts)))
    )
    if effects["more_seeds"].isna().all():
        return (
            f"Detectable: the effect that so many seeds tell from {margin_text(study)} with {POWER:.0%} power, at the "
            f"strictest level of Holm's method, {level}, if the differences vary as they did; what effect was seen "
            "does not enter."
        )
    text = (
        "More seeds: with so many, an effect of delta is told from 0, and one of 0 called equivalent, with "
        f"{POWER:.0%} power at level {level}, the standard deviation taken at its upper {ASSURANCE:.0%} bound"
    )
    if (effects.loc[is_open, ["n_arm", "n_baseline"]] < FEWEST_FOR_A_NUMBER).any(axis=None):
        text += f"; below {FEWEST_FOR_A_NUMBER} seeds a range, from its lower bound to its upper one"
    return f"{text}. What effect was seen does not enter."


def teacher_columns(trials: pd.DataFrame) -> list[str]:
    """Return the prefix of each teacher's columns: `config.teacher.`, or with several `config.teachers.NAME.`."""
    names = (str(name) for name in trials.columns)
    return [name.removesuffix("model") for name in names if re.fullmatch(r"config\.teachers?\.([\w-]+\.)?model", name)]


def teachers_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each teacher of each trial: the trial's ``context`` and the teacher's settings by key."""
    found = []
    for start in teacher_columns(trials):
        settings = {name: str(name).removeprefix(start) for name in trials if str(name).startswith(start)}
        of_teacher = trials.loc[trials[f"{start}model"].notna(), ["context", *settings]]
        found.append(of_teacher.rename(columns=settings))
    return pd.concat(found) if found else trials[["context"]].iloc[:0]


def held_for_text(results: Results, context: str = "") -> str:
    """Return for which teachers the verdicts in a context hold; empty where none is judged or no teacher is known."""
    trials = complete(of_fixed_arms(results.trials), results.facts.study.report_metric)
    trials = trials[trials["context"] == context]
    teachers = teachers_of(taught(trials))
    if teachers.empty or results.effects.empty:
        return ""
    words = []
    for of in teachers.filter(["model", "checkpoint", "seed"]).drop_duplicates().to_dict("records"):
        is_read = isinstance(of.get("checkpoint"), str)
        seed = "" if is_read or "seed" not in of else f", seed {of['seed']:.0f}"
        words.append(f"{of['model']}{' of ' + of['checkpoint'] if is_read else ''}{seed}")
    words = list(dict.fromkeys(words))
    within = f" in {context}" if context else ""
    more = f" and {len(words) - MOST_TEACHERS} more" if len(words) > MOST_TEACHERS else ""
    named_in_words = "; ".join(words[:MOST_TEACHERS]) + more
    if are_crossed(trials):
        count = counted(trials["seed"].nunique(), "seed")
        return f"The verdicts{within} hold over {len(words)} teachers crossed with {count}: {named_in_words}."
    which = "one teacher" if len(words) == 1 else "these teachers"
    return f"The verdicts{within} hold for {which}: {named_in_words}."


def scope_text(results: Results) -> str:
    """Return for which population the effects hold: seeds, on these images, of this pool, taught by this teacher.

    Only seeds are random in a test over seeds: all trials share the test images, the training pool and the teacher. The
    text is empty where there are no effects.
    """
    if results.effects.empty:
        return ""
    if results.facts.foreign:
        return (
            "The effects speak of further runs like those in the table, at other seeds. On which images they were "
            "scored, of which training pool and taught by whom is not known here; they speak of no others."
        )
    trials = complete(of_fixed_arms(results.trials), results.facts.study.report_metric)
    by_teachers, others = "", "images, pools or data sets"
    counts = teachers_of(taught(trials)).astype("str").drop_duplicates()["context"].value_counts()
    if not counts.empty:
        least, most = counts.min(), counts.max()
        number = "one teacher" if most == 1 else f"{most} teachers"
        number = f"{least} to {number}" if least < most else number
        by_teachers = f", taught by {number}{' in each context' if len(results.contexts) > 1 else ''}"
        others = "images, pools, teachers or data sets"
    images = sorted(trials["test_images"].dropna().unique()) if "test_images" in trials else []
    scored = "these test images"
    if len(images) == 1:
        scored = f"these {images[0]:,.0f} test images"
    elif images:
        scored += f" ({images[0]:,.0f} to {images[-1]:,.0f})"
    return (
        "The effects speak of trainings by this recipe on random splits of this training pool"
        f"{by_teachers}, scored on {scored}; not of other {others}."
    )
