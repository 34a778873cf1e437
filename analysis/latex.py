"""Tables of formatted cells in LaTeX: booktabs, a caption, and under the table what is said about it."""

import re
from collections.abc import Sequence

from analysis.tables import NOTE, VERDICT, Table, in_bold

WRITTEN = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "[": "{[}",  # after a line break it would open an option
    "\n": " ",
}
"""Characters that LaTeX reads as commands or its text fonts lack, and how they are written."""

_SPECIAL = re.compile("|".join(map(re.escape, WRITTEN)))


def latex(tables: Sequence[Table]) -> str:
    r"""Return tables for a document that loads ``booktabs``, each a float.

    A column without an entry is left out, unless the table has no rows at all.
    """
    return "\n".join(_float(table) for table in tables)


def text(words: str) -> str:
    """Return words as LaTeX prints them."""
    return _SPECIAL.sub(lambda match: WRITTEN[match[0]], words)


def _float(table: Table) -> str:
    kept = [
        index
        for index, column in enumerate(zip(*table.rows, strict=True))
        if any(column[1:]) or len(column) == 1
    ]
    names = [table.rows[0][index] for index in kept]
    aligned = "".join("l" if name in {table.rows[0][0], VERDICT, NOTE} else "r" for name in names)
    head, *rows = [
        " & ".join(_cell(row[index], is_bold=(number, index) in table.bold) for index in kept) + r" \\"
        for number, row in enumerate(table.rows)
    ]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{text(table.title)}}}",
        rf"\begin{{tabular}}{{{aligned}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip\footnotesize", text(table.footnote)] if table.footnote else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell(words: str, *, is_bold: bool) -> str:
    return in_bold(text(words), r"\textbf{{{}}}") if is_bold else text(words)
