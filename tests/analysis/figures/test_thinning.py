"""Figures of many arms draw some of them."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.thinning import MAX_MARKS, thinned, thinned_text


def arms(count: int) -> pd.DataFrame:
    return pd.DataFrame({"number": np.arange(count)}, index=np.arange(count) + 7)


def test_as_many_as_can_be_drawn_are_drawn() -> None:
    few = arms(MAX_MARKS)
    assert thinned(few) is few
    assert thinned_text(MAX_MARKS, MAX_MARKS) == ""


def test_of_more_every_so_many_are_drawn_in_their_order() -> None:
    drawn = thinned(arms(10 * MAX_MARKS))["number"]
    assert len(drawn) == MAX_MARKS
    assert (drawn.iloc[0], drawn.iloc[-1]) == (0, 10 * MAX_MARKS - 1)
    assert set(drawn.diff().dropna()) <= {10, 11}


@pytest.mark.parametrize("num_kept", [0, 1, 30, MAX_MARKS + 5])
def test_those_to_be_kept_are_drawn_in_any_case(num_kept: int) -> None:
    many = arms(3 * MAX_MARKS)
    keep = many["number"].isin(np.random.default_rng(0).permutation(len(many))[:num_kept])
    drawn = thinned(many, keep)
    assert set(many.index[keep]) <= set(drawn.index)
    assert len(drawn) == max(MAX_MARKS, num_kept)
    assert drawn["number"].is_monotonic_increasing


def test_the_caption_says_which() -> None:
    assert thinned_text(1000, 5000) == " Drawn are 1000 of 5000, every so many in the order of planning."
    assert (
        thinned_text(9, 50, "the front") == " Drawn are 9 of 50: the front, and of the others every so many."
    )
