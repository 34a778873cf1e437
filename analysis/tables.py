"""Tables as people read them: rows of formatted cells, the head first; and as Markdown and CSV."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.best import BOLD, DAGGER, NONE_BOLD, NOT_TOLD
from analysis.contexts import shared_names
from analysis.other_names import other_names
from analysis.quantities import Quantity, quantity
from analysis.reading import open_text, reading_text
from analysis.results import Results
from analysis.unmade import reason
from analysis.verdicts import FEWEST_FOR_A_NUMBER, LEVEL, MOST_MORE_SEEDS, Verdict
from cktf.rows import StudyRow

if TYPE_CHECKING:
    import pandas as pd

PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")

ABSENT = "–"
"""Stands where a figure cannot be computed."""

Rows = list[list[str]]
"""A table of formatted cells; its first row is the head."""

UNADJUSTED = "p"
"""Head of the column of p values of one comparison alone."""

VERDICT = "verdict"
"""Head of the column that answers."""

NOTE = "note"
"""Head of a last column that holds remarks, not figures."""


MEAN_COLUMN = 2
"""Of a table of effects: where the arms' means stand."""

LONG_NAME = 36
"""Letters of an arm's name that a figure has room for."""

MOST_LEADERS = 10
"""Arms of a search that are listed by their search scores."""

UNTESTED = "No comparison could be tested, so none is decided; the table says why"
"""Said where no arm and its baseline share two seeds at which they differ, or differ by chance at all."""

SMOKE = "A smoke run: its images are few and generated, and its numbers mean nothing."
"""Said of every table of such a run."""


@dataclass(frozen=True)
class Table:
    """A table with what is said about it.

    Attributes:
        title: Its heading.
        rows: Head and rows.
        remark: How its figures came about: which test, where those that were not measured come from, and that none
            means anything where that is so.
        bold: Cells, by row and column, that have the best mean and are set in bold; see `analysis.best`.
        daggered: Cells that are not told from it, and have a dagger.
        has_means: Whether it has means, of which the best would be bold.
        why_not: Of a table that could not be made, the reason; it then stands in the only cell.
    """

    title: str
    rows: Rows
    remark: str = ""
    bold: frozenset[tuple[int, int]] = frozenset()
    daggered: frozenset[tuple[int, int]] = frozenset()
    has_means: bool = False
    why_not: str = ""

    @property
    def footnote(self) -> str:
        """The remark, and what bold and the dagger mean, or why there are none."""
        bold = BOLD if self.bold else NONE_BOLD if self.has_means else ""
        return " ".join(text for text in (self.remark, bold, NOT_TOLD if self.daggered else "") if text)

    def parts(self, number: int, column: int) -> tuple[str, str]:
        """Return a mean, with its dagger where it has one, and what stands behind it and gets no mark: a reference.

        Args:
            number: Of the row; 0 is the head.
            column: Of the cell in it.
        """
        measured, parenthesis, published = self.rows[number][column].partition(" (")
        dagger = DAGGER if (number, column) in self.daggered else ""
        return measured + dagger, parenthesis + published

    def narrow(self) -> tuple[Rows, list[str]]:
        """Return the rows for a terminal, and the notes apart, each after its row's name.

        The column of notes is left out, and that of the unadjusted p, which tells no more than the interval.
        """
        kept = [index for index, name in enumerate(self.rows[0]) if name not in {NOTE, UNADJUSTED}]
        last = self.rows[0][-1]
        notes = [f"{row[0]}: {row[-1]}" for row in self.rows[1:] if row[-1]] if last == NOTE else []
        return [[row[index] for index in kept] for row in self.rows], notes


def main_tables(results: Results) -> list[Table]:
    """Return the tables that answer the question: effects, one table a context, or, failing these, search scores.

    Several contexts are first laid side by side. The tables of a smoke run say that they answer nothing.
    """
    try:
        return [marked(directed(table, results), results) for table in _main_tables(results)]
    except Exception as error:  # whatever it is, the rest of the report is worth having
        return [unmade_table("Effects", error)]


def unmade_table(title: str, error: Exception) -> Table:
    """Return what stands in the place of a table that could not be made."""
    return Table(title, [["table"], [reason(error)]], why_not=reason(error))


def direction_text(results: Results) -> str:
    """Return which of two values of the metric is the better one, as a sentence."""
    study = results.facts.study
    column = study.metric if main_name(results) == "leaderboard" else study.report_metric
    return f"Of {quantity(column).name}, {'larger' if study.maximise else 'smaller'} is better."


def directed(table: Table, results: Results) -> Table:
    """Return the table, whose remark first says which direction is better."""
    return replace(table, remark=f"{direction_text(results)} {table.remark}".rstrip())


def marked(table: Table, results: Results) -> Table:
    """Return the table, which says that it answers nothing where it is of a smoke run."""
    if not results.facts.study.is_smoke:
        return table
    return replace(table, title=f"Smoke run: {table.title}", remark=f"{SMOKE} {table.remark}".rstrip())


def main_name(results: Results) -> str:
    """Return what the tables that answer the question are: ``effects``, or scores, a search's ``leaderboard``."""
    if not results.arms.empty:
        return "effects"
    is_search = results.facts.study.design == "search" or not results.trials.empty
    return "leaderboard" if is_search else "effects"


def _main_tables(results: Results) -> list[Table]:
    if main_name(results) == "leaderboard":
        title = "Best arms by search score (selected on it: optimistic)"
        none = "No arm of the search has all of its seeds complete." if results.leaderboard.empty else ""
        return [Table(title, leaderboard_rows(results), none)]
    study = results.facts.study
    title = f"Effects on {quantity(study.report_metric).name}"
    if results.arms.empty:
        return [Table(title, effects_rows(results), "No trial is planned yet.")]
    tables = []
    if len(results.contexts) > 1:
        head = f"{quantity(study.report_metric).label.capitalize()}, mean ± sd"
        rows = context_rows(results)
        columns = dict(enumerate(results.contexts, 1))
        counts = results.arms["n"].unique()
        shared = f"n = {counts[0]} in each cell." if len(counts) == 1 else "n is the number of seeds."
        remark = f"{shared} {_in_parentheses(study)}".rstrip()
        tables.append(Table(head, rows, remark, *_marks(results, rows, columns), has_means=True))
    for context in results.contexts:
        named = f"{title}: {context}" if context else title
        remarks = (decision_text(results), _reference_remark(results, context))
        rows = effects_rows(results, context)
        remark = " ".join(text for text in remarks if text)
        marks = _marks(results, rows, {MEAN_COLUMN: context})
        tables.append(Table(named, rows, remark, *marks, has_means=True))
    return tables


Cells = frozenset[tuple[int, int]]
"""Of a table, by row and column."""


def _marks(results: Results, rows: Rows, columns: Mapping[int, str]) -> tuple[Cells, Cells]:
    """Return the cells of the best means of their context, and those not told from them.

    Args:
        results: Of which the table is.
        rows: Of the table.
        columns: Those that hold means, with their contexts.
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


def context_rows(results: Results) -> Rows:
    """Return arm x context: mean and standard deviation, and in parentheses the reference; above them the teachers.

    Where arms have different numbers of seeds, each cell says its own.
    """
    study = results.facts.study
    decimals = quantity(study.report_metric).decimals
    arms = results.arms.assign(arm=shared_names(results.arms).to_numpy())
    counts_differ = arms["n"].nunique() > 1
    rows = [["arm", *results.contexts]]
    for name in dict.fromkeys(arms["arm"]):
        cells = {
            arm["context"]: _beside(
                _mean_and_sd(arm, decimals) + (f", n = {arm['n']}" if counts_differ else ""),
                arm["reference"],
                decimals,
            )
            for _, arm in arms[arms["arm"] == name].iterrows()
        }
        rows.append([name, *(cells.get(context, ABSENT) for context in results.contexts)])
    teachers = [
        _beside(number_text(measured, decimals), published, decimals)
        for measured, published in (teacher_of(results, context) for context in results.contexts)
    ]
    if any(cell != ABSENT for cell in teachers):
        rows.insert(1, ["teacher", *teachers])
    return rows


def teacher_of(results: Results, context: str) -> tuple[float, float]:
    """Return what the teacher of a context yields, as measured where all its arms share one, and as published."""
    study, trials = results.facts.study, results.trials
    measured = trials.loc[trials["context"] == context, f"teacher_{study.report_metric}"].dropna().unique()
    published = study.reference_teachers.get(context, np.nan)
    return (float(measured[0]) if len(measured) == 1 else np.nan), published


def effects_rows(results: Results, context: str = "") -> Rows:
    """Return a context's baseline and arms: n, mean, effect with interval, p, Holm's p, verdict, and what is missing.

    Where a value of the context was published, a column of references stands beside the means.
    """
    measured = quantity(results.facts.study.report_metric)
    arms = results.arms[results.arms["context"] == context].set_index("arm_id")
    effects = results.effects[results.effects["context"] == context]
    published = ["reference"] if arms["reference"].notna().any() else []
    head = ["arm", "n", f"{measured.label}, mean ± sd", *published]
    rows = [[*head, f"effect [95% interval]{unit_text(measured)}", UNADJUSTED, "p (Holm)", VERDICT, NOTE]]
    others = other_names(results.trials)

    def noted(arm_id: str, note: str) -> str:
        also = f"also: {', '.join(others[arm_id])}" if arm_id in others else ""
        return "; ".join(part for part in (also, note) if part)

    def yields(arm: "pd.Series[Any]") -> list[str]:
        figures = [_mean_and_sd(arm, measured.decimals)]
        figures += [number_text(arm[name], measured.decimals) for name in published]
        return [arm["arm"], str(arm["n"]), *figures]

    for arm_id, arm in arms[arms["is_baseline"]].iterrows():
        note = noted(str(arm_id), arm["reason"] or missing_text(arm["n_planned"] - arm["n"]))
        rows.append([*yields(arm), "baseline", ABSENT, ABSENT, ABSENT, note])
    for _, effect in effects.iterrows():
        rows.append(
            [
                *yields(arms.loc[effect["arm_id"]]),
                effect_text(effect, measured.decimals),
                p_text(effect["p"]),
                p_text(effect["p_holm"]),
                verdict_text(effect, measured.decimals),
                noted(effect["arm_id"], note_text(effect)),
            ]
        )
    for _, arm in arms[~arms["is_baseline"] & ~arms.index.isin(effects["arm_id"])].iterrows():
        rows.append([*yields(arm), ABSENT, ABSENT, ABSENT, ABSENT, "no baseline to compare with"])
    return rows


def arm_in_search(arm: "pd.Series[Any]") -> str:
    """Return what a confirmed arm is called where its full name is too long: its rank in the search."""
    if len(arm["arm"]) <= LONG_NAME or np.isnan(arm["rank"]):
        return str(arm["arm"])
    return f"rank {arm['rank']:.0f} of the search"


def leaderboard_rows(results: Results) -> Rows:
    """Return the best arms of a search, best first, by the score that selected them."""
    measured = quantity(results.facts.study.metric)
    rows = [["arm", "seeds", f"{measured.label}, search score", NOTE]]
    for _, arm in results.leaderboard.head(MOST_LEADERS).iterrows():
        score = number_text(arm["score"], measured.decimals)
        rows.append([arm["arm"], str(arm["n"]), score, ""])
    return rows


def markdown_tables(tables: Sequence[Table]) -> str:
    """Return tables in Markdown, one after the other, each under its title where there are several."""
    parts = []
    for table in tables:
        parts += [f"## {markdown_text(table.title)}\n"] if len(tables) > 1 else []
        cells = [
            [
                f"**{mean}**{rest}" if (number, column) in table.bold else mean + rest
                for column in range(len(row))
                for mean, rest in [map(markdown_text, table.parts(number, column))]
            ]
            for number, row in enumerate(table.rows)
        ]
        parts.append(_markdown_lines(cells))
        parts += [f"{markdown_text(table.footnote)}\n"] if table.footnote else []
    return "\n".join(parts)


def markdown(rows: Rows) -> str:
    """Return rows as a Markdown table."""
    return _markdown_lines([[markdown_text(cell) for cell in row] for row in rows])


def _markdown_lines(cells: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(cells[0]), *lines[1:]]) + "\n"


_MARKUP = re.compile(
    r"[\\`*~|]"  # escapes, code, emphasis, ends of cells
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; within a word it is none
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)"  # elements of HTML, links, entities
    r"|\](?=[(\[:])"  # links, pictures, and what they refer to
)


def markdown_text(words: str) -> str:
    """Return words as Markdown shows them, in one line: none of them is a link, a picture, HTML or emphasis."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(words.splitlines()))


def csv(frame: "pd.DataFrame") -> str:
    """Return a table of statistics with every digit, for other programs.

    A text that a spreadsheet would compute stands behind an apostrophe.
    """
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    safe = frame.assign(**{name: frame[name].map(_no_formula) for name in texts})
    return safe.rename(columns=_no_formula).to_csv(index=False, lineterminator="\n")


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    is_formula = cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not PLAIN_NUMBER.fullmatch(cell)
    # Pandas puts no quotes around this end of a line.
    return ("'" if is_formula else "") + cell.replace("\r", " ")


def number_text(value: float | None, decimals: int) -> str:
    """Return a number as people read it."""
    return ABSENT if value is None or np.isnan(value) else f"{value:.{decimals}f}".replace("-", "−")


def interval_text(low: float, high: float, measured: Quantity) -> str:
    """Return the interval of a mean in brackets, cut at what the quantity can be; nothing where there is none."""
    if np.isnan(low):
        return ""
    ends = (number_text(measured.cut(end), measured.decimals) for end in (low, high))
    return f" [{', '.join(ends)}]"


def signed_text(value: float, decimals: int) -> str:
    """Return a difference with its sign."""
    return ABSENT if np.isnan(value) else f"{value:+.{decimals}f}".replace("-", "−")


def unit_text(measured: Quantity) -> str:
    """Return the unit of a difference, as the head of a column has it."""
    return f" ({measured.difference_unit})" if measured.difference_unit else ""


def p_text(p: float) -> str:
    """Return a p value: two digits, and never a zero."""
    if np.isnan(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_words(p: float) -> str:
    """Return a p value in a sentence: ``p = 0.03``."""
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def effect_text(effect: "pd.Series[Any]", decimals: int) -> str:
    """Return an effect with its interval: ``+1.20 [+0.40, +2.00]``."""
    if np.isnan(effect["effect"]):
        return ABSENT
    text = signed_text(effect["effect"], decimals)
    if np.isnan(effect["low"]):
        return text
    return f"{text} [{signed_text(effect['low'], decimals)}, {signed_text(effect['high'], decimals)}]"


def verdict_text(effect: "pd.Series[Any]", decimals: int) -> str:
    """Return a verdict and, where it is open, the seeds that decide about delta or, without one, what is detectable."""
    low, more = effect["more_seeds_low"], effect["more_seeds"]
    if effect["verdict"] != Verdict.UNDECIDED or np.isnan(effect["detectable"]):
        return str(effect["verdict"])
    if np.isnan(more):
        return f"{Verdict.UNDECIDED}, detectable: ±{number_text(effect['detectable'], decimals)}"
    if more == 0:
        return f"{Verdict.UNDECIDED}, though the seeds suffice for delta"
    counted = f"more than {MOST_MORE_SEEDS}" if np.isinf(more) else f"{more:.0f}"
    if effect["n_pairs"] < FEWEST_FOR_A_NUMBER and low < more:
        counted = f"{low:.0f} to {counted}"
    elif np.isfinite(more):
        counted = f"about {counted}"
    return f"{Verdict.UNDECIDED}, {counted} more seed{'s' * (more != 1)}"


def note_text(effect: "pd.Series[Any]") -> str:
    """Return what a reader must know of a comparison: why a figure is missing, which seeds, on whose side."""
    notes = [effect["reason"]]
    if effect["n_missing"]:
        planned = effect["n_pairs"] + effect["n_missing"]
        notes.append(f"{effect['n_missing']} of {planned} seeds missing ({effect['missing']})")
    lost = {"the arm": effect["n_lost_by_arm"], "the baseline": effect["n_lost_by_baseline"]}
    sides = [side for side, count in lost.items() if count]
    if len(sides) == 1 and effect["n_pairs"]:
        notes.append(f"only {sides[0]} failed: the effect is that of the seeds that it survived")
    if effect["p_holm"] < LEVEL <= effect["p_flip_holm_least"]:
        notes.append(
            "the exact sign-flip test cannot confirm it at this number of seeds and comparisons (its smallest adjusted "
            f"p is {p_text(effect['p_flip_holm_least'])})"
        )
    elif effect["p_holm"] < LEVEL <= effect["p_flip_holm"]:
        notes.append(
            "the exact sign-flip test does not tell it from 0 (p adjusted likewise: "
            f"{p_text(effect['p_flip_holm'])})"
        )
    return "; ".join(note for note in notes if note)


def decision_text(results: Results) -> str:
    """Return which test the verdicts come from, or that there is none; nothing where no arm is compared."""
    count = len(results.effects)
    if not count:
        return ""
    if results.effects["p"].isna().all():
        return f"{UNTESTED}."
    study = results.facts.study
    measured = quantity(study.report_metric)
    unit = f" {measured.difference_unit}" if measured.difference_unit else ""
    family = f"over {count} comparison{'s' * (count != 1)}"
    delta = (
        "no delta is set, so no arm can be called equivalent"
        if study.delta is None
        else f"equivalent: within ±{study.delta:g}{unit} (delta) by two one-sided t tests, adjusted likewise"
    )
    return (
        f"Verdict: paired t test, p adjusted by Holm's method {family}, level {LEVEL}; {delta}. "
        f"{reading_text(results)} {open_text(results)}"
    ).rstrip()


def missing_text(count: int) -> str:
    """Return how many planned trials have no result; nothing where all have."""
    return f"{count} of its trials missing" if count else ""


def _in_parentheses(study: StudyRow) -> str:
    return f"In parentheses: the reference, {study.reference_source}." if study.reference_source else ""


def _reference_remark(results: Results, context: str) -> str:
    """Return where a context's references come from, and beside its teacher's reference what was measured of it."""
    study = results.facts.study
    decimals = quantity(study.report_metric).decimals
    measured, published = teacher_of(results, context)
    told = []
    if study.reference_values.get(context) or not np.isnan(published):
        told.append(f"Reference: {study.reference_source}.")
    if not np.isnan(published):
        own = "not measured" if np.isnan(measured) else number_text(measured, decimals)
        told.append(f"The teacher: {own}, reference {number_text(published, decimals)}.")
    return " ".join(told)


def _beside(text: str, published: float, decimals: int) -> str:
    """Return a measured figure and, in parentheses, the published one where there is one."""
    return text if np.isnan(published) else f"{text} ({number_text(published, decimals)})"


def _mean_and_sd(arm: "pd.Series[Any]", decimals: int) -> str:
    if arm["n"] < 2:
        return number_text(arm["mean"], decimals)
    return f"{number_text(arm['mean'], decimals)} ± {number_text(arm['sd'], decimals)}"
