"""Tables as a terminal shows them. What they hold is text: no part of it is taken for markup."""

from collections.abc import Mapping, Sequence

from rich.table import Column, Table
from rich.text import Text

LONGEST_NAME = 24
"""Characters of an arm's name that are shown in one line."""


def answer_table(title: str, rows: Sequence[Sequence[str]], remarks: Sequence[str]) -> Table:
    """Return a table of arms, whose first row is the head, over what is to be remarked."""
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
        table.add_row(*(Text(cell) for cell in arm))
    return table


def names_table(titles: Mapping[str, str]) -> Table:
    """Return names with what each of them stands for."""
    table = Table("figure", "what it shows")
    for name, title in titles.items():
        table.add_row(Text(name), Text(title))
    return table
