"""A table of a report with its title and remark, as Markdown, CSV and rows for a terminal."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.results import Results
from analysis.statistics.best import BOLD, DAGGER, NONE_BOLD, NOT_TOLD
from analysis.unmade import reason

Rows = list[list[str]]
"""A table of formatted cells; its first row is the head."""

Cells = frozenset[tuple[int, int]]
"""Cells of a table, by row and column."""

Cell = Callable[["pd.Series[Any]"], str]
"""A row of statistics -> a formatted cell."""

Columns = Mapping[str, str | Cell]
"""Heads of a table -> the function that makes their cells, or the column of the statistics that is shown as it is."""

PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")

UNADJUSTED, SIMULTANEOUS, OVER_IMAGES = "p", "simultaneous", "also over unseen images"
"""Heads of the columns of unadjusted p, of simultaneous intervals, and of intervals also over unseen images."""

VERDICT, NOTE = "verdict", "note"
"""Heads of the column of verdicts, and of a last one that holds remarks."""

SMOKE = "A smoke run: its images are few and generated, and its numbers mean nothing."
"""Remark on every table of such a run."""


@dataclass(frozen=True)
class Table:
    """A table with its title and remark.

    Attributes:
        title: Its heading.
        rows: Head and rows.
        remark: How its numbers were obtained: the test, and the source of those that were not measured.
        bold: Cells that have the best mean and are set in bold; see `analysis.statistics.best`.
        daggered: Cells with a dagger: their means are not significantly different from the best.
        has_means: Whether it has means, of which the best would be bold.
        why_not: Why the table could not be made, which also stands in its only cell; else empty.
    """

    title: str
    rows: Rows
    remark: str = ""
    bold: Cells = frozenset()
    daggered: Cells = frozenset()
    has_means: bool = False
    why_not: str = ""

    @property
    def footnote(self) -> str:
        """The remark, and what bold and the dagger mean, or why there are none."""
        bold = BOLD if self.bold else NONE_BOLD if self.has_means else ""
        return " ".join(text for text in (self.remark, bold, NOT_TOLD if self.daggered else "") if text)

    def parts(self, number: int, column: int) -> tuple[str, str]:
        """Return the two parts of a cell: its mean with a dagger, if it has one; the published value in parentheses."""
        measured, parenthesis, published = self.rows[number][column].partition(" (")
        dagger = DAGGER if (number, column) in self.daggered else ""
        return measured + dagger, parenthesis + published

    def narrow(self) -> tuple[Rows, list[str]]:
        """Return the rows for a terminal, and the notes, each with its row's name.

        The columns of notes, of the unadjusted p (which says no more than the interval) and of further intervals are
        left out.
        """
        left_out = {NOTE, UNADJUSTED, SIMULTANEOUS, OVER_IMAGES}
        kept = [index for index, name in enumerate(self.rows[0]) if name not in left_out]
        last = self.rows[0][-1]
        notes = [f"{row[0]}: {row[-1]}" for row in self.rows[1:] if row[-1]] if last == NOTE else []
        return [[row[index] for index in kept] for row in self.rows], notes


def rows_of(frame: pd.DataFrame, columns: Columns) -> Rows:
    """Return a table of statistics as rows of formatted cells, below their head."""
    return [
        [*columns],
        *(
            [str(row[cell]) if isinstance(cell, str) else cell(row) for cell in columns.values()]
            for _, row in frame.iterrows()
        ),
    ]


def cell(form: Callable[..., str], name: str, *options: Any) -> Cell:
    """Return a function of a row that formats the value in this column."""
    return lambda row: form(row[name], *options)


def unmade_table(title: str, error: Exception) -> Table:
    """Return a table that holds the reason why another could not be made."""
    return Table(title, [["table"], [reason(error)]], why_not=reason(error))


def markdown_tables(tables: Sequence[Table]) -> str:
    """Return tables in Markdown, one after the other, each under its title where there are several."""
    parts = []
    for table in tables:
        parts += [f"## {markdown_text(table.title)}\n"] if len(tables) > 1 else []
        lines = []
        for number, row in enumerate(table.rows):
            cells = []
            for column in range(len(row)):
                mean, rest = map(markdown_text, table.parts(number, column))
                cells.append(f"**{mean}**{rest}" if (number, column) in table.bold else mean + rest)
            lines.append("| " + " | ".join(cells) + " |")
        lines.insert(1, "|" + " --- |" * len(table.rows[0]))
        parts.append("\n".join(lines) + "\n")
        parts += [f"{markdown_text(table.footnote)}\n"] if table.footnote else []
    return "\n".join(parts)


_MARKUP = re.compile(
    r"[\\`*~|]"  # escapes, code, emphasis, ends of cells
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; within a word it is none
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)"  # elements of HTML, links, entities
    r"|\](?=[(\[:])"  # links, pictures, and what they refer to
)


def markdown_text(words: str) -> str:
    """Return words as Markdown shows them, in one line: none of them is a link, a picture, HTML or emphasis."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(words.splitlines()))


def csv(frame: pd.DataFrame) -> str:
    """Return a table of statistics with every digit, for other programs.

    A text that a spreadsheet would read as a formula gets a leading apostrophe.
    """
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime"]).columns
    safe = frame.assign(**{name: frame[name].map(_no_formula) for name in texts})
    return safe.rename(columns=_no_formula).to_csv(index=False, lineterminator="\n")


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    is_formula = cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not PLAIN_NUMBER.fullmatch(cell)
    # Pandas does not quote a carriage return.
    return ("'" if is_formula else "") + cell.replace("\r", " ")


def main_name(results: Results) -> str:
    """Return which tables answer the study's question: ``effects``, or a search's ``leaderboard``."""
    if not results.arms.empty:
        return "effects"
    return "leaderboard" if results.facts.study.design == "search" or not results.trials.empty else "effects"
