"""The critical-difference diagram: what is drawn, and where."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.figures.critical_difference import chart, record


def drawn(specification: dict[str, Any], layer: int) -> list[dict[str, Any]]:
    """Return the rows of a layer."""
    rows: list[dict[str, Any]] = specification["datasets"][specification["layer"][layer]["data"]["name"]]
    return rows


def test_arms_stand_at_their_mean_ranks_and_bars_over_those_that_are_alike(
    many_contexts: Callable[..., Any],
) -> None:
    results = load(many_contexts(6))
    diagram = record(results)
    assert diagram is not None
    assert [(arm["arm"], arm["rank"]) for arm in diagram.rows] == list(
        results.ranks[["arm", "mean_rank"]].itertuples(index=False, name=None)
    )
    assert diagram.num_contexts == 6
    assert diagram.critical_difference == results.ranks["critical_difference"].iloc[0]
    assert diagram.rows[0]["arm"] == "kd"
    for first, last in diagram.bars:
        assert last - first < diagram.critical_difference
    assert "Mean ranks of 4 arms over n = 6 contexts" in diagram.caption
    assert "Friedman's test: p < 0.001" in diagram.caption

    specification = chart(diagram).to_dict()
    lines, bars, words, better, worse = (drawn(specification, layer) for layer in range(5))
    for arm in better + worse:
        (stem,) = (line for line in lines if line["x"] == line["x2"] == arm["rank"] and line["y2"] == arm["y"])
        assert stem["y"] == 0
    assert [arm["arm"] for arm in better] == [arm["arm"] for arm in diagram.rows[:2]]
    assert [arm["arm"] for arm in worse] == [arm["arm"] for arm in diagram.rows[:1:-1]]
    assert len(bars) == len(diagram.bars)
    assert {"mean rank over n = 6 contexts", "1", "4"} < {word["text"] for word in words}
    low, high = specification["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low > 4 > 1 > high, "the best rank is at the right, and there is room for names"


def test_arms_that_friedman_s_test_does_not_tell_apart_are_under_one_bar(
    many_contexts: Callable[..., Any],
) -> None:
    results = load(many_contexts(6, effects={"kd": 0.0, "at": 0.0, "sp": 0.0}, skipped=[("pair 1", "sp")]))
    diagram = record(results)
    assert diagram is not None
    assert diagram.critical_difference is None
    assert diagram.bars == [(diagram.rows[0]["rank"], diagram.rows[-1]["rank"])]
    assert "The bar over all arms says that none are told apart" in diagram.caption
    assert "Not ranked, since missing in a context: sp." in diagram.caption
    assert not any("critical" in word["text"] for word in drawn(chart(diagram).to_dict(), 2))


def test_of_a_long_name_the_end_is_left_out_and_never_its_rank(many_contexts: Callable[..., Any]) -> None:
    long = "a name that says everything about what an arm does"
    diagram = record(load(many_contexts(6, effects={long: 1.0, "at": 0.0, "sp": 0.0})))
    assert diagram is not None
    specification = chart(diagram).to_dict()
    (text,) = (arm["text"] for layer in (3, 4) for arm in drawn(specification, layer) if arm["arm"] == long)
    assert text.startswith("a name that says")
    assert text.endswith("… (1.00)")


@pytest.mark.parametrize("contexts", [2, 4])
def test_few_contexts_have_no_diagram(many_contexts: Callable[..., Any], contexts: int) -> None:
    assert record(load(many_contexts(contexts))) is None


def test_one_context_has_no_diagram(ablation: Path) -> None:
    assert record(load(ablation)) is None
