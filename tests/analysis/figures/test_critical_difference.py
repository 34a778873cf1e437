"""The mean ranks with their critical difference: what is drawn."""

from collections.abc import Callable
from typing import Any

import pytest

from analysis import load
from analysis.figures.critical_difference import chart, record


def test_arms_stand_at_their_mean_ranks_and_lines_overlap_where_they_are_alike(
    many_contexts: Callable[..., Any],
) -> None:
    results = load(many_contexts(6))
    diagram = record(results)
    assert diagram is not None
    assert [(arm["arm"], arm["rank"]) for arm in diagram.rows] == list(
        results.ranks[["arm", "mean_rank"]].itertuples(index=False, name=None)
    )
    difference = results.ranks["critical_difference"].iloc[0]
    assert [row["high"] - row["low"] for row in diagram.rows] == pytest.approx([difference] * 4)
    assert diagram.rows[0]["arm"] == "kd"
    pairs = [(better, worse) for place, better in enumerate(diagram.rows) for worse in diagram.rows[place + 1 :]]
    differ = [worse["rank"] - better["rank"] > difference for better, worse in pairs]
    assert [better["high"] < worse["low"] for better, worse in pairs] == differ
    assert {True, False} == {*differ}
    assert "Mean ranks of 4 arms over n = 6 contexts" in diagram.caption
    assert "Friedman's test: p < 0.001" in diagram.caption
    specification = chart(diagram).to_dict()
    assert specification["layer"][1]["encoding"]["x"]["title"] == "mean rank over n = 6 contexts"


def test_arms_that_friedman_s_test_does_not_tell_apart_have_no_lines(many_contexts: Callable[..., Any]) -> None:
    results = load(many_contexts(6, effects={"kd": 0.0, "at": 0.0, "sp": 0.0}))
    diagram = record(results)
    assert diagram is not None
    assert {(row["low"], row["high"]) for row in diagram.rows} == {(None, None)}
    assert "No arms are told apart" in diagram.caption


def test_arms_of_different_contexts_have_no_lines(many_contexts: Callable[..., Any]) -> None:
    diagram = record(load(many_contexts(6, skipped=[("pair 1", "sp")])))
    assert diagram is not None
    assert {(row["low"], row["high"]) for row in diagram.rows} == {(None, None)}
    assert "Arms stand in different contexts" in diagram.caption


@pytest.mark.parametrize("contexts", [2, 4])
def test_few_contexts_have_no_diagram(many_contexts: Callable[..., Any], contexts: int) -> None:
    assert record(load(many_contexts(contexts))) is None
