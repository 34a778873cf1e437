"""A table in Markdown, CSV and a terminal."""

import io
import re
from collections.abc import Callable
from csv import reader
from typing import Any

import pandas as pd
import pytest

from analysis import load
from analysis.report.table import Table, csv, markdown_tables, markdown_text
from analysis.report.tables import main_tables

DIRECTION = "Of test accuracy, larger is better. "


def test_a_terminal_has_the_notes_below_the_table() -> None:
    table = Table("t", [["arm", "n", "p", "note"], ["a", "5", "0.1", ""], ["b", "1", "0.2", "one pair"]])
    assert table.narrow() == ([["arm", "n"], ["a", "5"], ["b", "1"]], ["b: one pair"])
    assert Table("t", [["arm"], ["a"]]).narrow() == ([["arm"], ["a"]], [])


def test_cells_do_not_break_a_markdown_table() -> None:
    assert markdown_tables([Table("", [["arm", "note"], ["a|b", "two\nlines"]])]) == (
        "| arm | note |\n| --- | --- |\n| a\\|b | two lines |\n"
    )


def test_cells_open_no_element_of_html_in_markdown_and_p_stays_as_it_is() -> None:
    assert "| \\<b>kd\\</b> | < 0.001 |" in markdown_tables([Table("", [["arm", "p"], ["<b>kd</b>", "< 0.001"]])])


def test_several_tables_in_markdown_stand_under_their_titles(contexts_writer: Callable[..., Any]) -> None:
    tables = main_tables(load(contexts_writer(seeds=5).close()))
    text = markdown_tables(tables)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## {t.title}" for t in tables]
    assert f"\n\n{DIRECTION}n = 5 in each cell. In parentheses: the reference, Some et al. 2023, Table 1. " in text
    # kd, the best on digits; the reference is not bold
    assert re.search(r"\n\| kd \| \*\*[0-9.]+ ± [0-9.]+\*\* \(91\.25\) \| [0-9.]+ ± [0-9.]+ \(61\.00\\\*\) \|\n", text)
    assert markdown_tables(tables[:1]).startswith("| arm | digits | clothes |\n")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("![x](http://e/x.png) [a](javascript:1)", r"![x\](http://e/x.png) [a\](javascript:1)"),
        ("[a]: http://x [b][a]", r"[a\]: http://x [b\][a]"),
        ("a_b _c_ **d** `x` ~e~ a|b", r"a_b \_c\_ \*\*d\*\* \`x\` \~e\~ a\|b"),
        ("&lt;b&gt; a & b", r"\&lt;b\&gt; a & b"),
        ("a\n# b\u2028c", "a # b c"),
        ("p < 0.05, effect [95% interval] (points)", "p < 0.05, effect [95% interval] (points)"),
    ],
)
def test_words_in_markdown_are_no_markup(words: str, shown: str) -> None:
    assert markdown_text(words) == shown
    table = Table(words, [["arm"], [words]], words)
    written = markdown_tables([table, Table("b", [["c"], ["d"]])])
    assert written.splitlines()[0] == f"## {shown}"
    assert f"\n| {shown} |\n\n{shown}\n" in written


def test_cells_that_a_spreadsheet_would_compute_stand_behind_an_apostrophe() -> None:
    names = ["=1+1", "+1", "-2+3", "@x", "\tx", "\rx", "-2", "-1.5e3", "a=b"]
    written = csv(pd.DataFrame({"arm": names, "=x": [-1.5] * len(names)}))
    rows = list(reader(io.StringIO(written, newline="")))
    found = pd.DataFrame(rows[1:], columns=rows[0])
    assert list(found.columns) == ["arm", "'=x"]
    assert found["arm"].tolist() == ["'=1+1", "+1", "'-2+3", "'@x", "'\tx", "' x", "-2", "-1.5e3", "a=b"]
    assert set(found["'=x"]) == {"-1.5"}
