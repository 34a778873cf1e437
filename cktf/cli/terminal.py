"""Output to the terminal. Names and texts of a user are never taken for markup."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from analysis.report.table import Table as AnswerTable

LONGEST_NAME = 24
"""Characters of an arm's name that are shown in one line."""

out = Console(emoji=False)
err = Console(stderr=True, emoji=False)


def say(lines: Iterable[object]) -> None:
    """Print lines as they are."""
    for line in lines:
        out.print(str(line), markup=False, highlight=False, soft_wrap=True)


def warn(lines: Iterable[object], style: str = "yellow") -> None:
    """Print lines as they are to standard error."""
    for line in lines:
        err.print(str(line), style=style, markup=False, highlight=False, soft_wrap=True)


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of plain texts for Rich."""
    table = Table(*(Column(name, overflow="fold") for name in head))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_answers(tables: "Iterable[AnswerTable]") -> None:
    """Print the tables that answer a study's question."""
    for table in tables:
        rows, notes = table.narrow()
        out.print(answer_table(table.title, rows, [*notes, table.remark]))


def answer_table(title: str, rows: Sequence[Sequence[str]], remarks: Sequence[str]) -> Table:
    """Return a table of arms, whose first row is the head, with remarks below it."""
    header, *arms = rows
    # Names of a design are short and stay whole; those of a search, which list all factors, are folded.
    longest = max((len(arm[0]) for arm in arms), default=0)
    width = LONGEST_NAME if longest > LONGEST_NAME else None
    table = Table(
        Column(header[0], width=width, no_wrap=width is None, overflow="fold"),
        *(Column(name, overflow="fold") for name in header[1:]),
        title=Text(title),
        title_justify="left",
        caption=Text("\n".join(remark for remark in remarks if remark)),
        caption_justify="left",
    )
    for arm in arms:
        table.add_row(*map(Text, arm))
    return table
