"""Which test images each trial has right, read from its bits."""

import base64

import pandas as pd
import pytest

from analysis.statistics.over_images import correct
from cktf.errors import InputError


def trials(*rows: tuple[str, str, float, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["trial_id", "context", "test_images", "test_correct"])


def bits(text: str) -> str:
    whole = text.ljust(-(-len(text) // 8) * 8, "0")
    return base64.b64encode(bytes(int(whole[at : at + 8], 2) for at in range(0, len(whole), 8))).decode()


def test_bits_are_read_in_the_order_of_the_images_and_trials_without_them_left_out() -> None:
    found = correct(
        trials(("a", "", 9, bits("100100001")), ("b", "", 9, ""), ("c", "", 9, None), ("d", "", 9, bits("0" * 9)))
    )
    assert list(found.index) == ["a", "d"]
    assert "".join("01"[int(value)] for value in found.loc["a"].to_numpy()) == "100100001"
    assert not found.loc["d"].any()
    assert (found.dtypes == "bool").all()


def test_contexts_of_other_images_are_chosen_by_name() -> None:
    table = trials(("a", "x", 3, bits("101")), ("b", "y", 10, bits("1" * 10)))
    with pytest.raises(InputError, match="so choose a context: 3 in 'x'; 10 in 'y'"):
        correct(table)
    assert correct(table, "y").shape == (1, 10)


def test_a_table_without_bits_gives_none() -> None:
    assert correct(trials(("a", "", 3, "")).drop(columns="test_correct")).shape == (0, 0)
    assert correct(trials(("a", "", 3, ""))).shape == (0, 0)


@pytest.mark.parametrize("text", ["%%%", "AA==", bits("1" * 17)])
def test_a_record_of_another_length_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="trial 'a': test_correct does not hold a bit for each of its 9 test images"):
        correct(trials(("a", "", 9, text)))
