"""Words in LaTeX."""

import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from analysis.report.latex_text import text


def test_what_latex_would_read_as_a_command_is_written_out() -> None:
    assert text(r"50% of a_b & {c} \ #1 $x$ ~ ^") == (
        r"50\% of a\_b \& \{c\} \textbackslash{} \#1 \$x\$ \textasciitilde{} \textasciicircum{}"
    )
    assert text("β=0.8, λ→∞") == r"$\beta$=0.8, $\lambda$$\rightarrow$$\infty$"
    assert text("a|b") == r"a\textbar{}b", "the usual fonts have a dash there"
    assert text("−1.0 ± 0.2 [–] p < 0.05") == r"$-$1.0 $\pm$ 0.2 {[}--] p $<$ 0.05"


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("Δ Σ Ω ≠ ≈ ₂ ✓ ✗", r"$\Delta$ $\Sigma$ $\Omega$ $\neq$ $\approx$ $_{2}$ $\surd$ $\times$"),
        ("caf\u00e9 e\u0301 x\u0302", r"caf\'{e} \'{e} \^{x}"),
        ("\u1ea5", r"\'{\^{a}}"),
        ("教師", "(U+6559)(U+5E2B)"),
        ("한 ą か\u3099", "(U+D55C) (U+0105) (U+304C)"),
        ("💥", "(U+1F4A5)"),
        ("½ x² Ａ ﬁ", "1/2 x$^{2}$ A fi"),
        ("a\u200db\x00\ufe0f\tc", "ab c"),
        ("Α ο", "A o"),
    ],
)
def test_letters_that_pdflatex_lacks_are_commands_or_numbers(words: str, written: str) -> None:
    assert text(words) == written


def test_whatever_letter_is_written_in_ascii() -> None:
    letters = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) != "Cn"]
    assert all(text(letter).isascii() for letter in letters)
    assert all(text(f"a{letter}").isascii() for letter in letters[:5000])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(tmp_path: Path) -> None:
    letters = [chr(code) for code in range(0x20, 0x3100) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    lines = "\n\n".join(text("".join(letters[start : start + 50])) for start in range(0, len(letters), 50))
    document = f"\\documentclass{{article}}\n\\begin{{document}}\n{lines}\n\\end{{document}}\n"
    (tmp_path / "a.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
