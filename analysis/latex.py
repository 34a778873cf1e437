"""Tables of formatted cells in LaTeX: booktabs, a caption, and under the table what is said about it."""

import re
from collections.abc import Sequence

from analysis.tables import NOTE, VERDICT, Table

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
    r"""Return tables for a document that loads ``booktabs``, each a float; a column without an entry is left out."""
    return "\n".join(_float(table) for table in tables)


def text(words: str) -> str:
    """Return words as LaTeX prints them."""
    return _SPECIAL.sub(lambda match: WRITTEN[match[0]], words)


def _float(table: Table) -> str:
    columns = [column for column in zip(*table.rows, strict=True) if any(column[1:])]
    aligned = "".join("l" if column[0] in {table.rows[0][0], VERDICT, NOTE} else "r" for column in columns)
    head, *rows = [" & ".join(map(text, row)) + r" \\" for row in zip(*columns, strict=True)]
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
        *([r"\par\smallskip\footnotesize", text(table.remark)] if table.remark else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
