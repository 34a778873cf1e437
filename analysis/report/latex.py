"""Tables and sentences in LaTeX, in ASCII alone, so that pdfLaTeX can print every character."""

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from analysis.report.table import NOTE, UNADJUSTED, VERDICT, Table

WORDS = {VERDICT, NOTE, "against", "number"}
"""Heads of the columns of text, beside the first: aligned left, with long cells broken into lines."""

NAME_WIDTH, WORDS_WIDTH = 24, 18
"""Characters per line of a row's name, and per line of other text."""

LETTER_EM = 0.48
"""Approximate width of a letter in em."""

SIGNS = (
    "α alpha β beta γ gamma δ delta ε epsilon ϵ epsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu µ mu ν nu "
    "ξ xi π pi ρ rho σ sigma τ tau υ upsilon φ phi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi "
    "Σ Sigma Φ Phi Ψ Psi Ω Omega ± pm × times → rightarrow ≤ leq ≥ geq ∞ infty ≠ neq ≈ approx · cdot ✓ surd ✗ times"
)
"""Letters and signs, each followed by its command in math mode."""

PRINTED = (
    r"− $-$ \ \textbackslash{} { \{ } \} & \& % \% $ \$ # \# _ \_ | \textbar{} ~ \textasciitilde{} [ {[} "
    r"^ \textasciicircum{} < $<$ > $>$ – -- — --- … \ldots{} † $^\dagger$ “ `` ” '' ‘ ` ’ ' ′ $'$ ° $^\circ$ ß \ss{}"
)
"""Characters that LaTeX reads as commands, or lacks, each followed by its LaTeX form; ``[`` could open an option."""


def _pairs(words: str, form: str = "{}") -> dict[str, str]:
    signs = words.split()
    return {sign: form.format(written) for sign, written in zip(signs[::2], signs[1::2], strict=True)}


WRITTEN = _pairs(SIGNS, r"$\{}$") | _pairs(PRINTED) | {"\u00a0": "~", "\n": " ", "\t": " "}
"""Characters -> how they are written in LaTeX."""

ACCENTS = _pairs("\u0300 ` \u0301 ' \u0302 ^ \u0303 ~ \u0304 = \u0306 u \u0307 . \u0308 \" \u030a r \u030c v \u0327 c")
"""Combining marks and the accents that LaTeX has for them in all encodings of fonts."""

NEEDS, FLOAT_NEEDS = "% Needs \\usepackage{booktabs}.\n", "% Needs \\usepackage{booktabs,graphicx}.\n"
"""Comments above a bare table, and above floats."""

FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Begins a box that is scaled down if it is wider than the text."""

BY_NUMBER = "% Letters that pdfLaTeX lacks are written by their numbers in Unicode, as (U+6559).\n"
"""Comment at the top of a file with letters that are written by their numbers."""


def latex(tables: Sequence[Table]) -> str:
    r"""Return tables for a document that loads ``booktabs`` and ``graphicx``, each a float no wider than the text.

    A column without an entry is left out, unless the table has no rows at all; so is the column of the unadjusted p if
    there is one of verdicts, since this p says no more than the interval.
    """
    return _headed("\n".join(_float(table) for table in tables), FLOAT_NEEDS)


def tabular(table: Table) -> str:
    """Return a table as a bare ``tabular``, to be put into a float or a slide of one's own."""
    return _headed("\n".join(_tabular(table)) + "\n", NEEDS)


def _headed(written: str, needs: str) -> str:
    return BY_NUMBER * ("(U+" in written) + needs + written


def _float(table: Table) -> str:
    label = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{text(table.title)}}}",
        rf"\label{{tab:{label}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        FITTED,
        *_tabular(table),
        "}",
        *([r"\par\smallskip", text(table.footnote)] if table.footnote else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tabular(table: Table) -> list[str]:
    columns = dict(enumerate(zip(*table.rows, strict=True)))
    for index, (name, *cells) in list(columns.items()):
        if not any(cells or [True]) or (name == UNADJUSTED and VERDICT in table.rows[0]):
            del columns[index]
    # Characters per line in columns of text, at least those of the longest word.
    widths = {
        index: max([WORDS_WIDTH if index else NAME_WIDTH, *(len(word) for cell in cells for word in cell.split())])
        for index, (name, *cells) in columns.items()
        if index == 0 or name in WORDS
    }
    rows = [
        " & ".join(_cell(table, number, index, widths.get(index)) for index in columns) + r" \\"
        for number in range(1, len(table.rows))
    ]
    return [
        rf"\begin{{tabular}}{{{''.join('l' if index in widths else 'r' for index in columns)}}}",
        r"\toprule",
        " & ".join(text(name[0]) if index in widths else _head(*name) for index, name in columns.items()) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _head(name: str, *cells: str) -> str:
    """Return the head of a column of numbers, broken into lines if it is wider than its cells."""
    lines = textwrap.wrap(name, max([9, *map(len, cells)]), break_long_words=False, break_on_hyphens=False)
    stacked = r" \\ ".join(map(text, lines))
    return stacked if len(lines) < 2 else rf"\shortstack[r]{{{stacked}}}"


def _cell(table: Table, number: int, index: int, width: int | None) -> str:
    """Return a cell; text that is longer than a line is broken into several."""
    mean, rest = table.parts(number, index)
    written = (rf"\textbf{{{text(mean)}}}" if (number, index) in table.bold else text(mean)) + text(rest)
    if width is None or len(mean + rest) <= width:
        return written
    return rf"\parbox[t]{{{width * LETTER_EM:.1f}em}}{{\raggedright {written}\strut}}"


def text(words: str) -> str:
    """Return words as LaTeX prints them.

    A letter for which LaTeX has neither a command nor an accent is written as its number in Unicode, so that different
    names stay different.
    """
    parts = re.split("(?<=[-'`])(?=[-'`])", unicodedata.normalize("NFC", words))  # -- would be printed as a dash
    return "{}".join("".join(map(_letter, part)) for part in parts)


def _letter(letter: str) -> str:
    if letter in WRITTEN:
        return WRITTEN[letter]
    if letter.isascii() or unicodedata.category(letter) == "Cf":
        return letter if letter.isprintable() else ""
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if not marks or not {*marks} <= ACCENTS.keys():
        return f"(U+{ord(letter):04X})"
    written = _letter(base)
    for mark in marks:
        written = rf"\{ACCENTS[mark]}{{{written}}}"
    return written
