"""Tables in LaTeX."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis import load
from analysis.report.latex import latex
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
            r"\begin{table}",
            r"\centering",
            r"\caption{A \& b}",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            r"\begin{tabular}{lrl}",
            r"\toprule",
            r"arm & p (Holm) & verdict \\",
            r"\midrule",
            r"x & 0.02 & helps \\",
            r"y & 0.5 & -- \\",
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip",
            r"5\%",
            r"\end{table}",
            "",
        ]
    )


def test_long_words_are_broken_into_lines_that_hold_the_longest_of_them() -> None:
    name = "temperature=0.3127, pairing=smallest, kd.temperature=6.776"
    rows = [
        ["arm", "effect [95% interval] (percentage points)", "p", "against"],
        [name, "+1.2", "0.5", "cktf.temperature=0.1, a"],
    ]
    head, body = re.findall(r"(.*) \\\\\n\\(?:midrule|bottomrule)", latex([Table("", rows)]))
    in_lines = r"effect \\ {[}95\% \\ interval] \\ (percentage \\ points)"
    assert head == rf"arm & \begin{{tabular}}[b]{{@{{}}r@{{}}}}{in_lines}\end{{tabular}} & p & against"
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
    ledger = contexts_writer(seeds=5)
    ledger.close_segment()
    results = load(ledger.run)
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
