"""Effects over several contexts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import load
from analysis.statistics.effects import effects
from analysis.statistics.over_contexts import over_contexts
from cktf.verdicts import holm


def effects_of(arms: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(str(c), arm, "m", effect) for arm, effects in arms.items() for c, effect in enumerate(effects)]
    frame = pd.DataFrame(rows, columns=["context", "arm", "metric", "effect"])
    return frame.assign(against="baseline", against_baseline=True)


def test_the_mean_over_contexts_and_its_test_are_those_of_scipy() -> None:
    arms = {"kd": [0.5, 1.5, 0.7, np.nan], "at": [-0.1, 0.3, 0.2, 0.4], "once": [1.0]}
    table = over_contexts(effects_of(arms)).set_index("arm")
    assert list(table.index) == ["kd", "at"]
    for arm, row in table.iterrows():
        there = np.array(arms[str(arm)])[~np.isnan(arms[str(arm)])]
        reference = stats.ttest_1samp(there, 0)
        interval = reference.confidence_interval(0.95)
        assert (row["effect"], row["p"]) == pytest.approx((there.mean(), reference.pvalue))
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
        assert row["n_above"] == (there > 0).sum()
    assert table[["n_contexts", "n_missing"]].to_numpy().tolist() == [[3, 1], [4, 0]]
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))


def test_one_context_left_or_equal_effects_have_no_test() -> None:
    table = over_contexts(effects_of({"a": [0.5, np.nan], "b": [0.25, 0.25], "c": [0.3, 0.3, 0.3]}))
    assert table["effect"].tolist() == pytest.approx([0.5, 0.25, 0.3])
    assert table[["low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_effects_that_differ_by_rounding_alone_are_equal(many_contexts: Callable[..., Path]) -> None:
    # Of contexts whose scores have nothing in common but the difference, which no float holds.
    trials = load(many_contexts(3, seeds=3)).trials
    levels = {context: 10.0 + 27.1 * place for place, context in enumerate(dict.fromkeys(trials["context"]))}
    gains = {"baseline": 0.0, "kd": 0.3, "at": 0.0}
    scores = [
        levels[context] + seed / 7 + gains.get(arm, 1.0)
        for context, seed, arm in zip(*(trials[name] for name in ("context", "seed", "arm")), strict=True)
    ]
    table = over_contexts(effects(trials.assign(test_accuracy=scores))).set_index("arm")
    assert table.loc["kd", "effect"] == pytest.approx(0.3)
    assert np.isnan(table.loc["kd", ["sd", "p"]].astype(float)).tolist() == [False, True]
    assert table.loc[["kd", "at"], "n_above"].tolist() == [3, 0]


def test_an_arm_of_a_run_in_two_contexts_has_a_row(contexts: Path) -> None:
    results = load(contexts)
    (row,) = results.over_contexts.to_dict("records")
    effects = results.effects[results.effects["arm"] == "kd"]["effect"]
    assert (row["arm"], row["n_contexts"], row["n_above"]) == ("kd", 2, 1)
    assert row["effect"] == pytest.approx(effects.mean())
