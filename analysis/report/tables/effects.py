"""Tables of every arm against its baseline, one for each context; with several contexts, also a table of all means."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.ledger.other_names import other_names
from analysis.report.reading import (
    family_text,
    held_for_text,
    images_text,
    looks_text,
    open_text,
    reading_text,
    sides_text,
    test_text,
)
from analysis.report.table import NOTE, OVER_IMAGES, SIMULTANEOUS, UNADJUSTED, VERDICT, Cells, Rows, Table
from analysis.results import Results
from analysis.statistics.over_contexts import shared_names
from analysis.statistics.published import difference_interval
from analysis.statistics.verdicts import FEWEST_FOR_A_NUMBER, MOST_MORE_SEEDS
from analysis.wording import (
    ABSENT,
    capitalised,
    effect_text,
    interval_name,
    number_text,
    p_text,
    quantity,
    signed_text,
    unit_text,
)
from cktf.rows import Alternative
from cktf.verdicts import LEVEL, Verdict

MEAN = "mean ± sd"
"""End of the head of the column of the arms' means."""

MARK = "*"
"""Mark behind a published value that differs significantly from the measured mean."""

TOLD = (
    f"{MARK} Told from the measured mean: its 95% interval leaves this value out or, of one with a standard deviation, "
    "Welch's interval of the difference leaves out 0."
)

UNTESTED = "No comparison could be tested, so none is decided; the table says why"


def effects(results: Results) -> list[Table]:
    """Return a table of effects for each context; the last says how all are tested. No rows if nothing is planned."""
    study = results.facts.study
    measured = quantity(study.report_metric)
    title = f"Effects on {measured.name}"
    if results.arms.empty:
        return [Table(title, effects_rows(results), "No trial is planned yet.")]
    tables = []
    for context in results.contexts:
        remarks = [decision_text(results) if context == results.contexts[-1] else "", held_for_text(results, context)]
        own, published = (number_text(value, measured.decimals) for value in teacher_of(results, context))
        if study.reference_values.get(context) or published != ABSENT:
            remarks.append(f"Reference: {study.reference_source}.")
            of_context = results.arms[results.arms["context"] == context]
            remarks += [TOLD] * any(published_text(results, arm)[0].endswith(MARK) for _, arm in of_context.iterrows())
        if published != ABSENT:
            if own == ABSENT:
                own = "several, in a table of their own" if _measured_teachers(results, context) else "not measured"
            remarks.append(f"The teacher: {own}, reference {published}.")
        rows = effects_rows(results, context)
        tables.append(
            Table(
                f"{title}: {context}" if context else title,
                rows,
                " ".join(text for text in remarks if text),
                *marks(results, rows, {rows[0].index(f"{measured.label}, {MEAN}"): context}),
                has_means=True,
            )
        )
    return tables


def contexts(results: Results) -> list[Table]:
    """Return the table of all means, arms beside contexts; none where there is one context."""
    if len(results.contexts) < 2:
        return []
    study = results.facts.study
    head = f"{capitalised(quantity(study.report_metric).label)}, mean ± sd"
    rows = context_rows(results)
    counts = results.arms["n"].unique()
    remark = f"n = {counts[0]} in each cell." if len(counts) == 1 else "n is the number of seeds."
    if study.reference_source:
        remark += f" In parentheses: the reference, {study.reference_source}."
        remark += f" {TOLD}" * any(f"{MARK})" in cell for row in rows for cell in row)
    columns = dict(enumerate(results.contexts, 1))
    return [Table(head, rows, remark, *marks(results, rows, columns), has_means=True)]


def context_rows(results: Results) -> Rows:
    """Return rows of arms x contexts: mean, standard deviation and, in parentheses, reference; above them the teachers.

    If arms have different numbers of seeds, each cell has its own n.
    """
    decimals = quantity(results.facts.study.report_metric).decimals

    def beside(text: str, published: float) -> str:
        return text if np.isnan(published) else f"{text} ({number_text(published, decimals)})"

    arms = results.arms.assign(shared_name=shared_names(results.arms).to_numpy())
    counts_differ = arms["n"].nunique() > 1
    rows = [["arm", *results.contexts]]
    teachers = []
    for context in results.contexts:
        measured, published = teacher_of(results, context)
        teachers.append(beside(number_text(measured, decimals), published))
    if any(cell != ABSENT for cell in teachers):
        rows.append(["teacher", *teachers])
    for name, of_name in arms.groupby("shared_name", sort=False):
        cells = {}
        for _, arm in of_name.iterrows():
            own = mean_and_sd(arm, decimals) + (f", n = {arm['n']}" if counts_differ else "")
            reference = published_text(results, arm)[0]
            cells[arm["context"]] = own if reference == ABSENT else f"{own} ({reference})"
        rows.append([str(name), *(cells.get(context, ABSENT) for context in results.contexts)])
    return rows


def published_text(results: Results, arm: "pd.Series[Any]") -> tuple[str, str]:
    """Return an arm's published value, marked if the measured mean differs significantly, and a note on the difference.

    The note is empty where the publication has no standard deviation.
    """
    study = results.facts.study
    decimals = quantity(study.report_metric).decimals
    if np.isnan(arm["reference"]):
        return ABSENT, ""
    found = study.reference_values[arm["context"]][arm["arm"]]
    value, *spread = found if isinstance(found, list) else [found]
    low, high = difference_interval(arm["mean"], arm["sd"], arm["n"], found)
    text = number_text(value, decimals) + (
        f" ± {number_text(spread[0], decimals)}, n = {spread[1]:g}" if spread else ""
    )
    ends = "" if np.isnan(low) else f" [{signed_text(low, decimals)}, {signed_text(high, decimals)}]"
    note = f"minus the reference: {signed_text(arm['mean'] - value, decimals)}{ends}" if spread else ""
    return text + (MARK if low > 0 or high < 0 else ""), note


def marks(results: Results, rows: Rows, columns: Mapping[int, str]) -> tuple[Cells, Cells]:
    """Return the cells of the best means of each context, and those of means not significantly different from these.

    ``columns`` maps the index of each column of means to its context.
    """
    best = results.best
    names = best["arm"]
    if len(columns) > 1 and len(best):
        names = best["arm_id"].map(shared_names(results.arms))

    def cells(is_meant: "pd.Series[bool]") -> Cells:
        meant = set(zip(best["context"][is_meant], names[is_meant], strict=True))
        return frozenset(
            (number, column)
            for number, row in enumerate(rows[1:], 1)
            for column, context in columns.items()
            if (context, row[0]) in meant
        )

    return cells(best["is_best"]), cells(best["is_among_best"] & ~best["is_best"])


def teacher_of(results: Results, context: str) -> tuple[float, float]:
    """Return the teacher's score in a context, measured and published; NaN if unknown, or if there are several."""
    measured = _measured_teachers(results, context)
    published = results.facts.study.reference_teachers.get(context, np.nan)
    return (float(measured[0]) if len(measured) == 1 else np.nan), published


def _measured_teachers(results: Results, context: str) -> list[float]:
    """Return the different scores of the teachers in a context, as far as they are known."""
    trials, column = results.trials, f"teacher_{results.facts.study.report_metric}"  # a further measure has none
    return [*trials.loc[trials["context"] == context, column].dropna().unique()] if column in trials else []


def effects_rows(results: Results, context: str = "") -> Rows:
    """Return a context's baseline and arms: n, mean, effect with intervals, p, Holm's p, verdict, and what is missing.

    If the context has published values, a column of references follows the means. If arms are compared with others than
    the baseline, a column names these, and an arm has a row for each comparison, or a single row without any.
    Simultaneous intervals follow the single ones if there are several comparisons.
    """
    study = results.facts.study
    measured = quantity(results.facts.study.report_metric)
    arms = results.arms[results.arms["context"] == context].set_index("arm_id")
    effects = results.effects_by_level[results.effects_by_level["context"] == context].set_index("arm_id")
    has_contrasts = any(len(names) > 1 for names in study.contrasts)
    further = {SIMULTANEOUS: "simultaneous"} if results.effects["n_family"].max() > 1 else {}
    if results.effects["low_images"].notna().any():
        further[OVER_IMAGES] = "images"
    published = ["reference"] if arms["reference"].notna().any() else []
    head = ["arm", *(["against"] if has_contrasts else []), "n", f"{measured.label}, {MEAN}", *published]
    interval = interval_name(results.effects)
    p_head, p_name = ("p (Holm)", "p_holm") if study.delta is None else ("p (adjusted)", "p_both")
    rows = [[*head, f"effect [{interval}]{unit_text(measured)}", *further, UNADJUSTED, p_head, VERDICT, NOTE]]
    others = other_names(results.trials)
    raced = {
        arm_id: f"out of the race at {look.seeds} seeds{'' if why in set(Verdict) else f' ({why})'}"
        for look in results.facts.looks
        for arm_id, why in look.out.items()
    }

    def add(arm_id: Any, figures: list[str], note: str, against: str = ABSENT) -> None:
        arm = arms.loc[arm_id]
        also = f"also: {', '.join(others[arm_id])}" if arm_id in others else ""
        own = [arm["arm"], *([against] if has_contrasts else []), str(arm["n"]), mean_and_sd(arm, measured.decimals)]
        reference, difference = published_text(results, arm)
        own += [reference] * len(published)
        notes = (also, raced.get(arm_id, ""), note, difference)
        rows.append([*own, *figures, "; ".join(filter(None, notes))])

    none = [ABSENT] * (3 + len(further))
    for arm_id, arm in arms[arms["is_baseline"] & ~arms.index.isin(effects.index)].iterrows():
        add(arm_id, ["baseline", *none], arm["reason"] or missing_text(arm["n_planned"] - arm["n"]))
    for arm_id, effect in effects.iterrows():
        figures = [effect_text(effect, measured.decimals)]
        for name in further.values():
            ends = [signed_text(effect[f"{end}_{name}"], measured.decimals) for end in ("low", "high")]
            figures.append(ABSENT if ABSENT in ends else f"[{', '.join(ends)}]")
        figures += [p_text(effect["p"]), p_text(effect[p_name]), verdict_text(effect, measured.decimals)]
        add(arm_id, figures, note_text(effect), effect["against"])
    for arm_id, arm in arms[~arms["is_baseline"] & ~arms.index.isin(effects.index)].iterrows():
        alone = arm["reason"] or missing_text(arm["n_planned"] - arm["n"])
        add(arm_id, [ABSENT, *none], alone if has_contrasts else "no baseline to compare with")
    return rows


def verdict_text(effect: "pd.Series[Any]", decimals: int) -> str:
    """Return a verdict; if undecided, with the detectable effect or, with a delta, the seeds that would decide on it.

    A one-sided verdict has its margin; with a delta, a decided one has a remark on how large the effect may be.
    """
    if effect.get("size"):
        form = "{} ({})" if effect["verdict"] == Verdict.EQUIVALENT else "{}, {}"
        return form.format(effect["verdict"], effect["size"])
    by = number_text(abs(effect["margin"]), decimals)
    if effect["verdict"] in (Verdict.NOT_WORSE, Verdict.NOT_BETTER):
        return f"{effect['verdict']} by {by} or more"
    if effect["margin"] > 0 and effect["verdict"] in (Verdict.HELPS, Verdict.HURTS):
        return f"{effect['verdict']} by more than {by}"
    low, more = effect["more_seeds_low"], effect["more_seeds"]
    if effect["verdict"] != Verdict.UNDECIDED or np.isnan(effect["detectable"]):
        return str(effect["verdict"])
    if np.isnan(more):
        is_two_sided = effect["alternative"] == Alternative.TWO_SIDED
        size = signed_text(effect["detectable"], decimals)
        return f"{Verdict.UNDECIDED}, detectable: {f'±{size[1:]}' if is_two_sided else size}"
    if more == 0:
        return f"{Verdict.UNDECIDED}, though the seeds suffice for delta"
    counted = f"more than {MOST_MORE_SEEDS}" if np.isinf(more) else f"{more:.0f}"
    if min(effect["n_arm"], effect["n_baseline"]) < FEWEST_FOR_A_NUMBER and low < more:
        counted = f"{low:.0f} to {counted}"
    elif np.isfinite(more):
        counted = f"about {counted}"
    return f"{Verdict.UNDECIDED}, {counted} more seed{'s' * (more != 1)}"


def note_text(effect: "pd.Series[Any]") -> str:
    """Return the note on a comparison: why a number is missing, which seeds are, and on which side."""
    notes = [effect["reason"]]
    if effect["n_missing"]:
        planned = (effect["n_pairs"] or effect["n_arm"] + effect["n_baseline"]) + effect["n_missing"]
        notes.append(f"{effect['n_missing']} of {planned} seeds missing ({effect['missing']})")
    other = "the baseline" if effect["against_baseline"] else effect["against"]
    lost = {"the arm": effect["n_lost_by_arm"], other: effect["n_lost_by_baseline"]}
    sides = [side for side, count in lost.items() if count]
    if len(sides) == 1 and min(effect["n_arm"], effect["n_baseline"]):
        notes.append(f"only {sides[0]} failed: the effect is that of the seeds that it survived")
    is_told = effect["p_holm" if np.isnan(effect["delta"]) else "p_both"] < LEVEL
    if is_told and effect["p_flip_holm_least"] >= LEVEL:
        notes.append(
            "the exact sign-flip test cannot confirm it at this number of seeds and comparisons (its smallest adjusted "
            f"p is {p_text(effect['p_flip_holm_least'])})"
        )
    elif is_told and effect["p_flip_holm"] >= LEVEL:
        notes.append(
            f"the exact sign-flip test does not tell it from {'the margin' if effect['margin'] else '0'} (p adjusted "
            f"likewise: {p_text(effect['p_flip_holm'])})"
        )
    return "; ".join(note for note in notes if note)


def decision_text(results: Results) -> str:
    """Return which test the verdicts come from, or that there is none; empty where no arm is compared."""
    count = len(results.effects)
    if not count:
        return ""
    if results.effects["p"].isna().all():
        return f"{UNTESTED}."
    study = results.facts.study
    measured = quantity(study.report_metric)
    unit = f" {measured.difference_unit}" if measured.difference_unit else ""
    if study.alternative != Alternative.TWO_SIDED:
        margin = ""
    elif study.delta is None:
        margin = "; no delta is set, so no arm can be called equivalent"
    else:
        margin = f"; equivalent: within ±{study.delta:g}{unit} (delta) by two one-sided tests"
    how = "by Holm's method" if study.delta is None else "for both questions by Shaffer's method"
    looked = looks_text(results) if results.facts.is_looked_at else ""
    sentences = (reading_text(results), images_text(results), open_text(results), looked)
    return (
        f"Verdict: {test_text(results).removeprefix('the ')}{sides_text(study)}, p adjusted {how} "
        f"{family_text(results)}, level {LEVEL}{margin}. {' '.join(filter(None, sentences))}"
    )


def missing_text(count: int) -> str:
    """Return how many planned trials have no result; nothing where all have."""
    return f"{count} of its trials missing" if count else ""


def mean_and_sd(arm: "pd.Series[Any]", decimals: int) -> str:
    """Return an arm's mean and, from two seeds on, its standard deviation."""
    if arm["n"] < 2:
        return number_text(arm["mean"], decimals)
    return f"{number_text(arm['mean'], decimals)} ± {number_text(arm['sd'], decimals)}"
