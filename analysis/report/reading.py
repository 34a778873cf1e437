"""How the effects of a report are read: their intervals, open verdicts, and what they speak of; sentences."""

from analysis.results import Results
from analysis.statistics.any_table import complete, of_fixed_arms
from analysis.statistics.over_teachers import are_crossed
from analysis.statistics.verdicts import ASSURANCE, FEWEST_FOR_A_NUMBER, LEVEL, POWER, Verdict
from analysis.wording import counted

MOST_TEACHERS = 6
"""Teachers that are named in one sentence."""

TEACHER = "config.teacher."
"""Begins the columns of trials that say which teacher a trial has."""


def reading_text(results: Results) -> str:
    """Return which interval belongs to which verdict."""
    count = len(results.effects)
    text = "Helps or hurts goes with a 95% interval that leaves out 0."
    if count != 1:
        text = (
            "An interval, and an unadjusted p, hold for one comparison alone, so an interval may leave out 0 where the "
            f"verdict is undecided. Simultaneous intervals ({100 - 100 * LEVEL / max(count, 1):.4g}% each; thin in the "
            f"forest) hold all together in {1 - LEVEL:.0%} of studies: where one leaves out 0, the effect is told "
            "from 0."
        )
    if results.facts.study.delta is not None:
        adjusted = "" if count == 1 else ", before the adjustment"
        text += f" Equivalent goes with a 90% interval within ±delta{adjusted}."
    return text


def open_text(results: Results) -> str:
    """Return what the verdict of an undecided arm adds; nothing where no arm is undecided, or none was tested."""
    effects, delta = results.effects, results.facts.study.delta
    is_open = effects["verdict"].eq(Verdict.UNDECIDED) & effects["detectable"].notna()
    if not is_open.any():
        return ""
    level = f"{LEVEL}/{len(effects)}" if len(effects) > 1 else f"{LEVEL}"
    if delta is None:
        return (
            f"Detectable: the effect that so many seeds tell from 0 with {POWER:.0%} power, at the strictest level of "
            f"Holm's method, {level}, if the differences vary as they did; what effect was seen does not enter."
        )
    text = (
        "More seeds: with so many, an effect of delta is told from 0, and one of 0 called equivalent, with "
        f"{POWER:.0%} power at level {level}, the standard deviation taken at its upper {ASSURANCE:.0%} bound"
    )
    if (effects["n_pairs"][is_open] < FEWEST_FOR_A_NUMBER).any():
        text += f"; below {FEWEST_FOR_A_NUMBER} pairs a range, from its lower bound to its upper one"
    return f"{text}. What effect was seen does not enter."


def held_for_text(results: Results, context: str = "") -> str:
    """Return for which teachers the verdicts in a context hold; empty where none is judged or no teacher is known."""
    trials = complete(of_fixed_arms(results.trials), results.facts.study.report_metric)
    trials = trials[trials["context"] == context]
    if f"{TEACHER}model" not in trials or results.effects.empty:
        return ""
    taught = trials[trials[f"{TEACHER}model"].notna()]
    parts = [name for name in ("model", "checkpoint", "seed") if f"{TEACHER}{name}" in taught]
    named = list(dict.fromkeys(zip(*(taught[f"{TEACHER}{name}"] for name in parts), strict=True)))
    words = []
    for values in named:
        of = dict(zip(parts, values, strict=True))
        is_read = isinstance(of.get("checkpoint"), str)
        seed = "" if is_read or "seed" not in of else f", seed {of['seed']:.0f}"
        words.append(f"{of['model']}{' of ' + of['checkpoint'] if is_read else ''}{seed}")
    words = list(dict.fromkeys(words))
    within = f" in {context}" if context else ""
    if not words:
        return ""
    more = f" and {len(words) - MOST_TEACHERS} more" if len(words) > MOST_TEACHERS else ""
    named_in_words = "; ".join(words[:MOST_TEACHERS]) + more
    if are_crossed(trials):
        count = counted(trials["seed"].nunique(), "seed")
        return f"The verdicts{within} hold over {len(words)} teachers crossed with {count}: {named_in_words}."
    which = "one teacher" if len(words) == 1 else "these teachers"
    return f"The verdicts{within} hold for {which}: {named_in_words}."


def scope_text(results: Results) -> str:
    """Return for which population the effects hold: seeds, on these images, of this pool, taught by this teacher.

    A test over seeds knows of no other chance than that of the seeds: the same images score all trials, the same pool
    and the same teacher are behind them. Nothing is returned where there are no effects.
    """
    if results.effects.empty:
        return ""
    if results.facts.foreign:
        return (
            "The effects speak of further runs like those in the table, at other seeds. On which images they were "
            "scored, of which training pool and taught by whom is not known here; they speak of no others."
        )
    trials = complete(of_fixed_arms(results.trials), results.facts.study.report_metric)
    teachers = [str(name) for name in trials.columns if str(name).startswith(TEACHER)]
    taught, others = "", "images, pools or data sets"
    if f"{TEACHER}model" in teachers:
        has_teacher = trials[trials[f"{TEACHER}model"].notna()]
        counts = has_teacher[["context", *teachers]].astype("str").drop_duplicates()["context"].value_counts()
        if not counts.empty:
            least, most = counts.min(), counts.max()
            number = "one teacher" if most == 1 else f"{most} teachers"
            number = f"{least} to {number}" if least < most else number
            taught = f", taught by {number}{' in each context' if len(results.contexts) > 1 else ''}"
            others = "images, pools, teachers or data sets"
    images = sorted(trials["test_images"].dropna().unique()) if "test_images" in trials else []
    scored = "these test images"
    if len(images) == 1:
        scored = f"these {images[0]:,.0f} test images"
    elif images:
        scored += f" ({images[0]:,.0f} to {images[-1]:,.0f})"
    return (
        "The effects speak of trainings by this recipe on random splits of this training pool"
        f"{taught}, scored on {scored}; not of other {others}."
    )
