"""The table of ranks."""

from collections.abc import Callable
from typing import Any

from analysis import load
from analysis.report.tables import side_tables


def test_ranks_stand_where_there_are_several_contexts(many_contexts: Callable[..., Any]) -> None:
    table = side_tables(load(many_contexts(6)))["ranks"]
    assert table.rows[0] == ["arm", "contexts", "ranked in", "mean rank", "p (adjusted)", "note"]
    assert table.rows[1][:4] == ["kd", "6", "6", "1.00"]
    assert "4 arms are ranked in 6 contexts" in table.remark
    assert "Friedman's test: chi-square" in table.remark
    assert "two arms are told apart if their mean ranks differ by 1.91 or more (the most possible is 3)" in table.remark
    assert table.remark.endswith("So few contexts reveal only a large difference.")


def test_an_arm_that_not_every_context_has_is_ranked_where_it_is(many_contexts: Callable[..., Any]) -> None:
    table = side_tables(load(many_contexts(6, skipped=[("pair 2", "sp")])))["ranks"]
    assert [table.rows[-1][place] for place in (0, 1, 2, 3, 5)] == ["sp", "5", "5", "4.00", "not planned in pair 2"]
    assert "each is ranked among those of a context. The test of Skillings and Mack: chi-square" in table.remark


def test_few_contexts_are_not_tested(many_contexts: Callable[..., Any]) -> None:
    table = side_tables(load(many_contexts(3)))["ranks"]
    assert table.rows[1][4] == "–"
    assert table.remark.endswith("A test of ranks needs 3 arms in 5 contexts; none was made.")
