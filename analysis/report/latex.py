"""Tables of formatted cells in LaTeX: booktabs, a caption, and under the table what is said about it."""

import textwrap
from collections.abc import Sequence

from analysis.report.latex_text import BY_NUMBER, text
from analysis.report.table import NOTE, UNADJUSTED, VERDICT, Table

WORDS = {VERDICT, NOTE, "against", "number"}
"""Heads of the columns that hold words, as the first one does: set to the left, and long ones in lines."""

NAME_WIDTH, WORDS_WIDTH = 24, 18
"""Characters of a line of a row's name, and of other words."""

LETTER_EM = 0.48
"""Width of a letter, about, in the width of an m."""


def latex(tables: Sequence[Table]) -> str:
    r"""Return tables for a document that loads ``booktabs``, each a float that most pages have room for.

    A column without an entry is left out, unless the table has no rows at all; so is that of the unadjusted p beside
    a verdict, which tells no more than the interval.
    """
    written = "\n".join(_float(table) for table in tables)
    return BY_NUMBER * ("(U+" in written) + written


def _float(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True))
    kept = [
        index
        for index, (name, *cells) in enumerate(columns)
        if (any(cells) or not cells) and not (name == UNADJUSTED and VERDICT in table.rows[0])
    ]
    widths = {index: _line_width(columns[index], index) for index in kept}
    aligned = "".join("r" if widths[index] is None else "l" for index in kept)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{text(table.title)}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{aligned}}}",
        r"\toprule",
        " & ".join(_head(columns[index], widths[index]) for index in kept) + r" \\",
        r"\midrule",
        *(
            " & ".join(
                _cell(*table.parts(number, index), widths[index], is_bold=(number, index) in table.bold)
                for index in kept
            )
            + r" \\"
            for number in range(1, len(table.rows))
        ),
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip", text(table.footnote)] if table.footnote else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line_width(column: Sequence[str], index: int) -> int | None:
    """Return the letters of a line of a column of words, no fewer than its longest word has; None of one of figures."""
    name, *cells = column
    if index > 0 and name not in WORDS:
        return None
    return max([WORDS_WIDTH if index else NAME_WIDTH, *(len(word) for cell in cells for word in cell.split())])


def _head(column: Sequence[str], width: int | None) -> str:
    """Return a column's head, in lines where it is wider than the figures below it."""
    name, *cells = column
    lines = textwrap.wrap(name, max([9, *map(len, cells)]), break_long_words=False, break_on_hyphens=False)
    if width or len(lines) < 2:
        return text(name)
    stacked = r" \\ ".join(text(line) for line in lines)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{stacked}\end{{tabular}}"


def _cell(mean: str, rest: str, width: int | None, *, is_bold: bool) -> str:
    """Return a cell; of words that are longer than a line, several lines."""
    written = (rf"\textbf{{{text(mean)}}}" if is_bold else text(mean)) + text(rest)
    if width is None or len(mean + rest) <= width:
        return written
    return rf"\parbox[t]{{{width * LETTER_EM:.1f}em}}{{\raggedright {written}\strut}}"
