"""Tables of formatted cells, and words, as LaTeX prints them: in ASCII alone, so that pdfLaTeX knows every letter."""

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from analysis.report.table import NOTE, UNADJUSTED, VERDICT, Table

WORDS = {VERDICT, NOTE, "against", "number"}
"""Heads of the columns that hold words, as the first one does: set to the left, and long ones in lines."""

NAME_WIDTH, WORDS_WIDTH = 24, 18
"""Characters of a line of a row's name, and of other words."""

LETTER_EM = 0.48
"""Width of a letter, about, in the width of an m."""

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi pi rho sigma tau upsilon phi chi psi omega"
)
"""Letters that settings are called by, as LaTeX has them."""

CAPITALS = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
"""Greek letters that Latin does not have."""

SYMBOLS = (
    "± pm × times → rightarrow ≤ leq ≥ geq ∞ infty ≠ neq ≈ approx ≡ equiv ∼ sim ≃ simeq ≅ cong ∝ propto · cdot "
    "• bullet √ surd ✓ surd ✔ surd ✗ times ✘ times ∑ sum ∏ prod ∂ partial ∇ nabla ∈ in ∅ emptyset ∩ cap ∪ cup "
    "∧ wedge ∨ vee ¬ neg ← leftarrow ↑ uparrow ↓ downarrow ↔ leftrightarrow ⇒ Rightarrow ⇔ Leftrightarrow « ll » gg "
    "÷ div ∗ ast ⋅ cdot µ mu ς varsigma ϵ epsilon ϑ vartheta"
)
"""Signs, each before its command in mathematics."""

PRINTED = (
    r"− $-$ \ \textbackslash{} { \{ } \} & \& % \% $ \$ # \# _ \_ | \textbar{} ~ \textasciitilde{} [ {[} "
    r"^ \textasciicircum{} < $<$ > $>$ – -- — --- … \ldots{} † $^\dagger$ “ `` ” '' „ ,, ‘ ` ’ ' ‚ , ′ $'$ ″ $''$ "
    r"¡ !` ¿ ?` ° $^\circ$ £ \pounds{} € EUR § \S{} ¶ \P{} © \copyright{} ß \ss{} æ \ae{} Æ \AE{} œ \oe{} Œ \OE{} "
    r"ø \o{} Ø \O{} ł \l{} Ł \L{} ı \i{} ⁄ /"
)
"""Characters that LaTeX reads as commands, or lacks, each before how it is written; ``[`` could open an option."""

LOOK_ALIKE = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo")
"""Greek letters that look as Latin ones do."""


def _pairs(words: str, form: str = "{}") -> dict[str, str]:
    """Return signs and how they are written, of words that hold them in turns."""
    signs = words.split()
    return {sign: form.format(written) for sign, written in zip(signs[::2], signs[1::2], strict=True)}


def _letters(names: str, form: str) -> dict[str, str]:
    """Return Greek letters by their names in LaTeX."""
    return {
        unicodedata.lookup(form.format(name.upper().replace("LAMBDA", "LAMDA"))): rf"$\{name}$"
        for name in names.split()
    }


WRITTEN = (
    _letters(GREEK, "GREEK SMALL LETTER {}")
    | _letters(CAPITALS, "GREEK CAPITAL LETTER {}")
    | _pairs(SYMBOLS, r"$\{}$")
    | _pairs(PRINTED)
    | {"\u00a0": "~", "\n": " ", "\t": " "}
)
"""Characters that are written otherwise than they are."""

ACCENTS = dict(
    zip(
        "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0331",
        "`'^~=u.\"rHvdcb",
        strict=True,
    )
)
"""Combining marks and the accents that LaTeX has for them in all encodings of fonts."""

BY_NUMBER = "% Letters that pdfLaTeX lacks are written by their numbers in Unicode, as (U+6559).\n"
"""Stands above what has such letters."""

_LETTER = re.compile("[^\u0300-\u036f][\u0300-\u036f]*|[\u0300-\u036f]+")


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


def text(words: str) -> str:
    """Return words as LaTeX prints them.

    A letter that it has neither as a command nor with an accent is written by its number in Unicode, so that different
    names stay different.
    """
    words = unicodedata.normalize("NFC", words.translate(LOOK_ALIKE))
    return _LETTER.sub(lambda match: _letter(match[0]), words)


def _letter(letter: str) -> str:
    """Return a character, with the combining marks behind it, as it is written."""
    if letter in WRITTEN:
        return WRITTEN[letter]
    if letter.isascii():
        return letter if letter.isprintable() else ""
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if marks and all(mark in ACCENTS for mark in marks):
        written = _letter(base)
        for mark in marks:
            written = rf"\{ACCENTS[mark]}{{{written}}}"
        return written
    if len(letter) > 1:
        return "".join(map(_letter, letter))
    if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") or "\ufe00" <= letter <= "\ufe0f":
        return ""  # it is not seen
    kind, *numbers = unicodedata.decomposition(letter).split() or [""]
    if kind.startswith("<"):
        same = "".join(_letter(chr(int(number, 16))) for number in numbers)
        return {"<super>": f"$^{{{same}}}$", "<sub>": f"$_{{{same}}}$"}.get(kind, same)
    return f"(U+{ord(letter):04X})"
