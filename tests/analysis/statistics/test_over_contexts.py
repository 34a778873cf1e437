"""Effects over several contexts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import load
from analysis.statistics.effects import effects
from analysis.statistics.over_contexts import noise_of_contexts, over_contexts
from cktf.verdicts import holm


def effects_of(arms: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(str(c), arm, "m", effect) for arm, effects in arms.items() for c, effect in enumerate(effects)]
    frame = pd.DataFrame(rows, columns=["context", "arm", "metric", "effect"])
    return frame.assign(against="baseline", against_baseline=True)


def test_the_mean_over_contexts_and_its_test_are_those_of_scipy() -> None:
    arms = {"kd": [0.5, 1.5, 0.7, np.nan], "at": [-0.1, 0.3, 0.2, 0.4], "once": [1.0]}
    table = over_contexts(effects_of(arms), maximise=True).set_index("arm")
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
    found = effects_of({"a": [0.5, np.nan], "b": [0.25, 0.25], "c": [0.3, 0.3, 0.3]})
    table = over_contexts(found, maximise=True)
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
    table = over_contexts(effects(trials.assign(test_accuracy=scores)), maximise=True).set_index("arm")
    assert table.loc["kd", "effect"] == pytest.approx(0.3)
    assert np.isnan(table.loc["kd", ["sd", "p"]].astype(float)).tolist() == [False, True]
    assert table.loc[["kd", "at"], "n_above"].tolist() == [3, 0]


def test_an_arm_of_a_run_in_two_contexts_has_a_row(contexts: Path) -> None:
    results = load(contexts)
    (row,) = results.over_contexts.to_dict("records")
    effects = results.effects[results.effects["arm"] == "kd"]["effect"]
    assert (row["arm"], row["n_contexts"], row["n_above"]) == ("kd", 2, 1)
    assert row["effect"] == pytest.approx(effects.mean())


def test_the_verdict_is_of_effects_in_units_of_each_contexts_noise() -> None:
    arms = {"kd": [1.0, 10.0, 0.9, 1.2, 8.0], "at": [-0.5, 3.0, 0.1, -0.2, 1.0], "few": [1.0, 1.1, 0.9]}
    noise = dict(zip("01234", [1.0, 10.0, 1.0, 1.0, 10.0], strict=True))
    table = over_contexts(effects_of(arms), noise, maximise=True).set_index("arm")
    for arm in ("kd", "at"):
        units = np.array(arms[arm]) / np.array([*noise.values()])
        reference = stats.ttest_1samp(units, 0)
        interval = reference.confidence_interval(0.95)
        expected = [units.mean(), interval.low, interval.high, reference.pvalue]
        names = ["effect_in_noise", "low_in_noise", "high_in_noise", "p_in_noise"]
        assert table.loc[arm, names].to_numpy().tolist() == pytest.approx(expected)
    assert table["p_in_noise_holm"]["kd"] == pytest.approx(3 * table["p_in_noise"]["kd"])
    assert table["verdict"].tolist() == ["helps", "undecided", "undecided"]
    assert table["reason"].tolist() == ["", "", "fewer than 4 contexts whose noise is known: each speaks for itself"]
    assert over_contexts(effects_of(arms), noise, maximise=False).at[0, "verdict"] == "hurts"
    # In points, the contexts that vary much have the say, and nothing is told.
    assert table["p_holm"]["kd"] > 0.05
    asked = effects_of(arms).assign(alternative="better", margin=0.5)
    margins = over_contexts(asked, noise, maximise=True).set_index("arm")
    units = (np.array(arms["kd"]) - 0.5) / np.array([*noise.values()])
    one_sided = stats.ttest_1samp(units, 0, alternative="greater").pvalue
    assert margins.at["kd", "p_in_noise"] == pytest.approx(one_sided)
    assert margins.at["kd", "effect_in_noise"] == pytest.approx(table.at["kd", "effect_in_noise"])


def test_noise_is_what_is_left_beside_arm_and_seed(contexts: Path) -> None:
    trials = load(contexts).trials
    found = noise_of_contexts(trials, metric="test_accuracy")
    for context, scores in trials.groupby("context", sort=False):
        values = scores.pivot(index="seed", columns="arm", values="test_accuracy").to_numpy()
        rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        degrees = (values.shape[0] - 1) * (values.shape[1] - 1)
        assert found[str(context)] == pytest.approx(np.sqrt((rest**2).sum() / degrees))
    assert np.isnan([*noise_of_contexts(trials[trials["seed"] == 0], metric="test_accuracy").values()]).all()
    exact = trials.assign(test_accuracy=trials["seed"] / 7 + trials["arm"].str.len() / 3 + 71.3)
    assert np.isnan([*noise_of_contexts(exact, metric="test_accuracy").values()]).all()


def test_noise_of_contexts_with_missing_trials_is_that_of_least_squares(contexts: Path) -> None:
    trials = load(contexts).trials.iloc[1:]
    scores = trials[trials["context"] == "digits"]
    columns = [(scores["arm"] == arm).astype(float) for arm in scores["arm"].unique()]
    columns += [(scores["seed"] == seed).astype(float) for seed in scores["seed"].unique()[1:]]
    design = np.stack(columns, axis=1)
    values = scores["test_accuracy"].to_numpy()
    rest = values - design @ np.linalg.pinv(design) @ values
    expected = np.sqrt((rest**2).sum() / (len(values) - design.shape[1]))
    assert noise_of_contexts(trials, metric="test_accuracy")["digits"] == pytest.approx(expected)
