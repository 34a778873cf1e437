"""Tables and words in LaTeX."""

import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load, write_report
from analysis.report.latex import latex, tabular, text
from analysis.report.table import Table
from analysis.report.tables import main_tables, side_tables


def test_a_table_computed_by_hand() -> None:
    table = Table(
        "A & b",
        [
            ["arm", "p", "p (Holm)", "verdict", "note"],
            ["x", "0.01", "0.02", "helps", ""],
            ["y", "0.5", "0.5", "–", ""],
        ],
        "5%",
    )
    assert latex([table]) == "\n".join(
        [
            r"% Needs \usepackage{booktabs,graphicx}.",
            r"\begin{table}",
            r"\centering",
            r"\caption{A \& b}",
            r"\label{tab:a-b}",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            r"\begin{tabular}{lrl}",
            r"\toprule",
            r"arm & p (Holm) & verdict \\",
            r"\midrule",
            r"x & 0.02 & helps \\",
            r"y & 0.5 & -- \\",
            r"\bottomrule",
            r"\end{tabular}",
            r"}",
            r"\par\smallskip",
            r"5\%",
            r"\end{table}",
            "",
        ]
    )


def test_a_bare_tabular_is_what_stands_in_the_float() -> None:
    table = Table("A", [["arm", "p"], ["x", "0.01"]], "a remark")
    needs, *lines = tabular(table).splitlines()
    assert needs == r"% Needs \usepackage{booktabs}."
    assert (lines[0], lines[-1]) == (r"\begin{tabular}{lr}", r"\end{tabular}")
    assert "\n".join(lines) in latex([table])


def test_long_words_are_broken_into_lines_that_hold_the_longest_of_them() -> None:
    name = "temperature=0.3127, pairing=smallest, kd.temperature=6.776"
    rows = [
        ["arm", "effect [95% interval] (percentage points)", "p", "against"],
        [name, "+1.2", "0.5", "cktf.temperature=0.1, a"],
    ]
    head, body = re.findall(r"(.*) \\\\\n\\(?:midrule|bottomrule)", latex([Table("", rows)]))
    in_lines = r"effect \\ {[}95\% \\ interval] \\ (percentage \\ points)"
    assert head == rf"arm & \shortstack[r]{{{in_lines}}} & p & against"
    assert body == (
        rf"\parbox[t]{{{24 * 0.48:.1f}em}}{{\raggedright {name}\strut}} & +1.2 & 0.5 & "
        rf"\parbox[t]{{{21 * 0.48:.1f}em}}{{\raggedright cktf.temperature=0.1, a\strut}}"
    )


def test_the_best_are_bold_but_not_the_reference_beside_them_and_the_footnote_names_the_test() -> None:
    rows = [["arm", "a"], ["kd", "91.5 ± 0.8 (91.25)"], ["at", "90.0 ± 0.1"]]
    rows.append(["fsp", "89.0 ± 0.1 (90.00)"])
    written = latex([Table("Means", rows, "n = 5.", frozenset({(1, 1)}), frozenset({(3, 1)}))])
    assert "kd & \\textbf{91.5 $\\pm$ 0.8} (91.25) \\\\\nat & 90.0 $\\pm$ 0.1 \\\\" in written
    assert "fsp & 89.0 $\\pm$ 0.1$^\\dagger$ (90.00)" in written
    assert "n = 5. Bold: the best mean of 5 seeds or more. $^\\dagger$: not told from it (paired t test" in written


def test_of_few_seeds_nothing_is_marked_and_the_footnote_says_so(contexts: Path) -> None:
    written = latex(main_tables(load(contexts)))
    assert r"\textbf{" not in written
    assert "dagger" not in written
    assert written.count("No mean is in bold: each is of fewer than 5 seeds") == 3


def test_a_table_without_rows_keeps_its_head() -> None:
    written = latex([Table("Best arms", [["arm", "score", "note"]])])
    assert r"\begin{tabular}{lrl}" in written
    assert r"arm & score & note \\" in written


def test_all_tables_of_a_report_are_floats_in_plain_characters(contexts_writer: Callable[..., Any]) -> None:
    results = load(contexts_writer(seeds=5).close())
    tables = [*main_tables(results), *side_tables(results).values()]
    written = latex(tables)
    assert written.count(r"\begin{table}") == written.count(r"\end{table}") == len(tables) == 6
    assert written.isascii()
    assert written.count("{") == written.count("}")
    assert r"\textbf{" in written
    for line in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n\\toprule\n(.*)", written):
        assert len(line[0]) == line[1].count(" & ") + 1


def test_letters_that_are_written_by_number_are_said_above_the_table() -> None:
    rows = [["arm", "n"], ["\u6559\u5e2b", "3"], ["\u0394 caf\u00e9", "3"]]
    written = latex([Table("\U0001f4a5", rows, "\u2260")])
    assert written.isascii()
    assert written.startswith("% Letters that pdfLaTeX lacks are written by their numbers in Unicode")
    assert "(U+6559)(U+5E2B) & 3" in written
    assert "Unicode" not in latex([Table("A", [["arm"], ["\u0394"]])])


def test_what_latex_would_read_as_a_command_is_written_out() -> None:
    assert text(r"50% of a_b & {c} \ #1 $x$ ~ ^") == (
        r"50\% of a\_b \& \{c\} \textbackslash{} \#1 \$x\$ \textasciitilde{} \textasciicircum{}"
    )
    assert text("β=0.8, λ→∞") == r"$\beta$=0.8, $\lambda$$\rightarrow$$\infty$"
    assert text("a|b") == r"a\textbar{}b", "the usual fonts have a dash there"
    assert text("--no-kd ---") == "-{}-no-kd -{}-{}-", "two hyphens are no dash"
    assert text("−1.0 ± 0.2 [–] p < 0.05") == r"$-$1.0 $\pm$ 0.2 {[}--] p $<$ 0.05"


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("Δ Σ Ω ≠ ≈ ✓ ✗", r"$\Delta$ $\Sigma$ $\Omega$ $\neq$ $\approx$ $\surd$ $\times$"),
        ("caf\u00e9 e\u0301", r"caf\'{e} \'{e}"),
        ("\u1ea5", r"\'{\^{a}}"),
        ("教師", "(U+6559)(U+5E2B)"),
        ("한 ą か\u3099", "(U+D55C) (U+0105) (U+304C)"),
        ("💥", "(U+1F4A5)"),
        ("x²", "x(U+00B2)"),
        ("a\u200db\x00\tc", "ab c"),
    ],
)
def test_letters_that_pdflatex_lacks_are_commands_or_numbers(words: str, written: str) -> None:
    assert text(words) == written


def test_whatever_letter_is_written_in_ascii() -> None:
    letters = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) != "Cn"]
    assert all(text(letter).isascii() for letter in letters)
    assert all(text(f"a{letter}").isascii() for letter in letters[:5000])


needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def compiled(body: str, folder: Path, packages: str = "") -> str:
    """Return what pdfLaTeX says of a document of this body."""
    document = f"\\documentclass{{article}}\n{packages}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "a.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@needs_pdflatex
def test_the_papers_of_a_report_compile_and_no_table_is_wider_than_the_text(
    contexts_writer: Callable[..., Any], tmp_path: Path
) -> None:
    write_report(contexts_writer(seeds=5).close(), tmp_path / "report")
    folder = tmp_path / "report" / "tables"
    floats = [path.stem for path in sorted(folder.glob("*.tex")) if not re.search(r"_tabular|methods", path.stem)]
    assert len(floats) >= 4
    ends = [r"\bibliographystyle{plain}", r"\bibliography{methods}"]
    body = "\n".join([*(rf"\input{{{name}}}" for name in ["methods", *floats]), *ends])
    packages = "\\usepackage{booktabs,graphicx}\n"
    compiled(body, folder, packages)
    if shutil.which("bibtex"):
        done = subprocess.run(["bibtex", "a"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        compiled(body, folder, packages)
        assert "undefined" not in compiled(body, folder, packages)
    wide = "x" * 60
    table = Table("A", [["arm", *(f"{wide}{n}" for n in range(5))], ["a", *"12345"]])
    assert "Overfull" in compiled("\n".join(tabular(table).splitlines()), tmp_path, packages)
    assert "Overfull" not in compiled(latex([table]), tmp_path, packages)


@needs_pdflatex
def test_every_letter_compiles(tmp_path: Path) -> None:
    letters = [chr(code) for code in range(0x20, 0x3100) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    lines = "\n\n".join(text("".join(letters[start : start + 50])) for start in range(0, len(letters), 50))
    compiled(lines, tmp_path)
