"""The table of effects: which trials form pairs, what is missing, and what is said of each arm."""

import doctest
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import effects, load
from analysis.statistics.paired import sign_flip_p
from analysis.statistics.verdicts import mde, more_seeds
from cktf.rows import Status
from cktf.verdicts import LEVEL, holm
from tests.analysis.ledgers import LedgerWriter, study_row


def test_known_effects_are_found(ablation: Path) -> None:
    table = effects(load(ablation).trials, metric="test_accuracy").set_index("arm")
    assert len(table) == 4
    for arm, true in {"temperature=0.5": -3.0, "theta=0.0": -0.2, "pairing=first": 1.0}.items():
        assert table["low"][arm] - 0.5 < true < table["high"][arm] + 0.5
    assert table["p_holm"]["temperature=0.5"] < 0.01
    assert (table["p_holm"] >= table["p"]).all()
    assert (table["correlation"] > 0.5).any()


def test_effects_are_differences_at_the_same_seeds(ablation: Path) -> None:
    trials = load(ablation).trials
    scores = {(row["arm"], row["seed"]): row["test_accuracy"] for row in trials.to_dict("records")}
    for row in effects(trials, metric="test_accuracy").to_dict("records"):
        by_seed = [scores[row["arm"], seed] - scores["baseline", seed] for seed in range(5)]
        assert row["effect"] == pytest.approx(np.mean(by_seed))
        assert row["p"] == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
        assert row["mean"] - row["baseline_mean"] == pytest.approx(row["effect"])


def test_arms_of_one_factor_stand_together_and_name_it(ablation: Path) -> None:
    table = effects(load(ablation).trials)
    assert table["arm"].tolist() == ["temperature=0.5", "temperature=0.05", "theta=0.0", "pairing=first"]
    assert table["factor"].tolist() == [
        "objective.cktf.temperature",
        "objective.cktf.temperature",
        "objective.cktf.theta",
        "objective.cktf.pairing",
    ]


def test_missing_seeds_are_left_out_of_the_pairs_and_named(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    ledger.train(ledger.plan("theta=0.0", 3), 10.0, epochs=2, status=Status.FAILED, reason="NaN", tests=False)
    ledger.train(ledger.plan("baseline", 3), 90.0)
    ledger.train(ledger.plan("theta=0.0", 4), 90.0)
    ledger.plan("baseline", 5)
    ledger.train(ledger.plan("theta=0.0", 6), 90.0)
    row = effects(load(ledger.close()).trials).iloc[0]
    assert (row["n_pairs"], row["n_missing"]) == (3, 4)
    assert (row["n_lost_by_arm"], row["n_lost_by_baseline"]) == (1, 0)
    assert row["missing"] == ("seed 3: failed; seeds 4, 6: baseline not planned; seed 5: not planned, baseline planned")


def test_a_study_without_its_baseline_has_no_effects(ablation_writer: Callable[..., Any]) -> None:
    results = load(ablation_writer(arms=["theta=0.0", "pairing=first"], seeds=2).close())
    assert results.effects.empty
    assert len(results.arms) == 2


def test_a_baseline_without_complete_trials_gives_effects_without_numbers(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    ledger.plan("baseline", 0)
    ledger.train(ledger.plan("theta=0.0", 0), 90.0)
    row = load(ledger.close()).effects.iloc[0]
    assert row["n_pairs"] == 0
    assert np.isnan([row["effect"], row["p"], row["p_holm"]]).all()
    assert row["reason"] == "no seed is complete in both arms"


def test_an_arm_is_compared_with_the_baseline_of_its_own_context(contexts: Path) -> None:
    trials = load(contexts).trials
    scores = {(row["context"], row["arm"], row["seed"]): row["test_accuracy"] for row in trials.to_dict("records")}
    table = effects(trials)
    assert list(zip(table["context"], table["arm"], strict=True)) == [
        ("digits", "kd"),
        ("digits", "fsp"),
        ("clothes", "kd"),
    ]
    for row in table.to_dict("records"):
        context, arm = row["context"], row["arm"]
        by_seed = [scores[context, arm, seed] - scores[context, "baseline", seed] for seed in range(4)]
        assert row["effect"] == pytest.approx(np.mean(by_seed))
        assert row["p"] == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
    assert table["effect"].tolist() == pytest.approx([2.0, -1.0, -4.0], abs=0.5)


def test_holm_adjusts_over_the_comparisons_of_all_contexts(contexts: Path) -> None:
    table = effects(load(contexts).trials)
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))
    assert table["p_holm"].min() == pytest.approx(3 * table["p"].min())


def test_a_context_whose_baseline_is_not_there_has_no_effects(contexts: Path) -> None:
    trials = load(contexts).trials
    left = trials[~((trials["context"] == "digits") & trials["is_baseline"])]
    assert effects(left)["context"].tolist() == ["clothes"]


def test_verdicts_of_known_effects(ablation: Path) -> None:
    trials = load(ablation).trials
    table = effects(trials, delta=2.0).set_index("arm")
    assert table["verdict"].to_dict() == {
        "temperature=0.5": "hurts",
        "temperature=0.05": "equivalent",
        "theta=0.0": "equivalent",
        "pairing=first": "equivalent",
    }
    assert set(table["delta"]) == {2.0}
    assert table["more_seeds"].isna().all()  # all are decided
    without = effects(trials, maximise=False).set_index("arm")
    assert without.at["temperature=0.5", "verdict"] == "helps"
    assert without["p_equivalence_holm"].isna().all()
    assert "equivalent" not in set(without["verdict"])


def test_seeds_are_asked_for_where_there_is_a_delta_and_what_is_detectable_follows_from_none_that_was_seen(
    ablation: Path,
) -> None:
    trials = load(ablation).trials
    table = effects(trials)
    assert table[["more_seeds", "more_seeds_low"]].isna().all(axis=None)
    for row in table.to_dict("records"):
        assert row["detectable"] == mde(np.array(row["n_pairs"]), LEVEL / 4, np.array(row["sd"]))
    of_delta = effects(trials, delta=0.1)
    np.testing.assert_array_equal(of_delta["detectable"], table["detectable"])
    is_open = of_delta["verdict"] == "undecided"
    assert of_delta.loc[~is_open, "more_seeds"].isna().all()
    for row in of_delta[is_open].to_dict("records"):
        sd, n = np.array([row["sd"]]), np.array([row["n_pairs"]])
        assert row["more_seeds"] == more_seeds(0.1, sd, n, LEVEL / 4)
        assert row["more_seeds_low"] <= row["more_seeds"]
    # The effect that was seen does not enter: shifted scores change neither.
    shifted = trials.assign(test_accuracy=trials["test_accuracy"].where(trials["is_baseline"], lambda s: s + 0.04))
    moved = effects(trials.assign(test_accuracy=shifted["test_accuracy"]))
    np.testing.assert_allclose(moved["detectable"], table["detectable"])


def test_simultaneous_intervals_are_bonferronis_and_leave_out_zero_only_where_holm_does(ablation: Path) -> None:
    table = effects(load(ablation).trials)
    for row in table.to_dict("records"):
        half = stats.t.isf(0.05 / 4 / 2, row["n_pairs"] - 1) * row["sd"] / np.sqrt(row["n_pairs"])
        assert row["high_simultaneous"] == pytest.approx(row["effect"] + half)
        assert row["low_simultaneous"] == pytest.approx(row["effect"] - half)
        leaves_out = row["low_simultaneous"] > 0 or row["high_simultaneous"] < 0
        assert leaves_out == (4 * row["p"] < 0.05)
        assert not leaves_out or row["p_holm"] < 0.05


def test_sign_flips_are_adjusted_over_the_same_family_and_say_what_they_can_reach(
    ablation_writer: Callable[..., Any],
) -> None:
    ledger = ablation_writer(seeds=6, noise=0.05)
    ledger.train(ledger.plan("theta=0.0", 6), 95.0)
    ledger.train(ledger.plan("baseline", 6), 95.5)
    table = effects(load(ledger.close()).trials)
    np.testing.assert_allclose(table["p_flip_holm"], holm(table["p_flip"].to_numpy()))
    np.testing.assert_allclose(table["p_flip_holm_least"], holm(2.0 ** (1 - table["n_pairs"].to_numpy())))
    assert (table["p_flip_holm"] >= table["p_flip_holm_least"]).all()
    few = ablation_writer(seeds=5)
    assert effects(load(few.close()).trials)[["p_flip", "p_flip_holm", "p_flip_holm_least"]].isna().all(axis=None)


def test_the_sign_flip_test_stands_beside_the_deciding_one(ablation_writer: Callable[..., Any]) -> None:
    trials = load(ablation_writer(seeds=6).close()).trials
    scores = trials.pivot(index="seed", columns="arm", values="test_accuracy")
    table = effects(trials).set_index("arm")
    for arm in table.index:
        assert table.at[arm, "p_flip"] == sign_flip_p((scores[arm] - scores["baseline"]).to_numpy())
    assert set(table["test"]) == {"paired t"}


def test_who_fails_alone_is_counted_and_what_is_still_to_run_is_not(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=2)
    for seed, arm_status, baseline_status in (
        (2, Status.FAILED, Status.COMPLETE),
        (3, Status.PRUNED, Status.COMPLETE),
        (4, Status.FAILED, Status.FAILED),
        (5, Status.COMPLETE, Status.FAILED),
        (6, None, Status.COMPLETE),
    ):
        for arm, status in (("theta=0.0", arm_status), ("baseline", baseline_status)):
            ledger.train(ledger.plan(arm, seed), 90.0, status=status, tests=status == Status.COMPLETE)
    ledger.train(ledger.plan("theta=0.0", 7), np.nan)
    ledger.train(ledger.plan("baseline", 7), 90.0)
    row = effects(load(ledger.close()).trials).iloc[0]
    assert (row["n_pairs"], row["n_missing"]) == (2, 6)
    assert (row["n_lost_by_arm"], row["n_lost_by_baseline"]) == (3, 1)


@pytest.mark.parametrize(
    ("seeds", "reason"), [(1, "one pair: no interval"), (2, "all 2 differences are equal: no error to test against")]
)
def test_an_arm_without_a_test_is_undecided_and_says_why(ledger: LedgerWriter, seeds: int, reason: str) -> None:
    ledger.add(study_row())
    for arm, accuracy in (("baseline", 90.0), ("theta=0.0", 91.0)):
        for seed in range(seeds):
            ledger.train(ledger.plan(arm, seed), accuracy)
    row = effects(load(ledger.close()).trials, delta=3.0).iloc[0]
    assert (row["verdict"], row["test"], row["reason"]) == ("undecided", "none", reason)
    assert np.isnan([row["p"], row["p_holm"], row["p_equivalence_holm"], row["more_seeds"]]).all()


OF_ITS_OWN = [
    *("arm", "n_pairs", "mean", "baseline_mean", "effect", "sd", "low", "high", "hedges_gz", "correlation"),
    *("n_unpaired", "statistic", "p", "p_equivalence", "p_flip", "n_missing", "missing", "reason"),
]
"""Columns of effects that no other arm can change: all but those of the family of comparisons."""


def test_arms_of_any_sizes_give_together_what_each_gives_alone() -> None:
    draws = np.random.default_rng(4)
    rows = []
    for place, size in enumerate([1e-12, 1.0, 90.0, 1e8, 1e12]):
        for context, level in (("a", 1e-3), ("b", 1e9)):
            for arm, seeds in (("none", 12), (f"arm {place}", 6 + place)):
                scores = level + size * draws.standard_normal(seeds) * (arm != "none")
                if arm != "none" or not place:
                    scores = scores + 0.01 * level * draws.standard_normal(seeds)
                    rows += [(context, arm, seed, score) for seed, score in enumerate(scores)]
    frame = pd.DataFrame(rows, columns=["context", "arm", "seed", "m"]).sample(frac=1, random_state=0)
    together = effects(frame, metric="m", baseline="none", delta=0.5)
    assert len(together) == 10
    for context, arm in zip(together["context"], together["arm"], strict=True):
        part = frame[(frame["context"] == context) & frame["arm"].isin(["none", arm])]
        alone = effects(part, metric="m", baseline="none", delta=0.5)
        same = together[(together["context"] == context) & (together["arm"] == arm)].reset_index(drop=True)
        pd.testing.assert_frame_equal(same[OF_ITS_OWN], alone[OF_ITS_OWN], check_exact=True)


def test_an_arm_that_diverges_takes_no_verdict_from_another() -> None:
    draws = np.random.default_rng(0)
    rows: list[tuple[str, int, float]] = []
    for seed in range(8):
        base = 1.2 + 0.02 * draws.standard_normal()
        rows += [("baseline", seed, base), ("kd", seed, base - 0.03 + 0.005 * draws.standard_normal())]
        rows.append(("too fast", seed, 1e8 * (1 + draws.random())))
    frame = pd.DataFrame(rows, columns=["arm", "seed", "loss"])
    found = effects(frame, metric="loss", maximise=False).set_index("arm")
    assert found["verdict"].to_dict() == {"kd": "helps", "too fast": "hurts"}
    assert found.at["kd", "effect"] == pytest.approx(-0.03, abs=0.005)


def test_trials_are_compared_afresh_with_another_arm(contexts: Path) -> None:
    trials = load(contexts).trials
    found = effects(trials, baseline="kd").set_index(["context", "arm"])
    known = effects(trials).set_index(["context", "arm"])
    assert sorted(found.index) == [("clothes", "baseline"), ("digits", "baseline"), ("digits", "fsp")]
    for context in ("digits", "clothes"):
        assert found["effect"][(context, "baseline")] == -known["effect"][(context, "kd")]
    assert found.loc[("digits", "baseline"), "factor"] == "objective.kd.weight"
    pd.testing.assert_frame_equal(effects(trials, baseline="baseline"), effects(trials))
    with pytest.raises(ValueError, match="baseline 'fsp': no arms are called so in context 'clothes'; there"):
        effects(trials, baseline="fsp")


def test_an_arm_that_fails_at_every_seed_has_failed_and_counts_in_the_family(
    ablation_writer: Callable[..., Any],
) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    for seed in range(3):
        ledger.train(ledger.plan("nan", seed), 10.0, status=Status.FAILED, tests=False)
        ledger.train(ledger.plan("inf", seed), np.inf)
        status = Status.FAILED if seed < 2 else None  # still running
        ledger.train(ledger.plan("not yet", seed), 10.0, status=status, tests=False)
    found = effects(load(ledger.close()).trials).set_index("arm")
    assert found.loc[["nan", "inf"], "verdict"].tolist() == ["failed", "failed"]
    assert found.at["nan", "reason"] == "failed at all 3 seeds"
    assert found.at["not yet", "verdict"] == "undecided"
    assert found["p_holm"]["theta=0.0"] == pytest.approx(min(1.0, 4 * found["p"]["theta=0.0"]))


def test_a_baseline_that_fails_at_every_seed_is_said(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["theta=0.0"], seeds=2)
    for seed in range(2):
        ledger.train(ledger.plan("baseline", seed), 10.0, status=Status.FAILED, tests=False)
        ledger.train(ledger.plan("nan", seed), 10.0, status=Status.FAILED, tests=False)
    found = effects(load(ledger.close()).trials).set_index("arm")
    assert found["verdict"].to_dict() == {"theta=0.0": "undecided", "nan": "failed"}
    assert found.at["theta=0.0", "reason"] == "the baseline failed at all 2 seeds"
    assert found.at["nan", "reason"] == "failed at all 2 seeds; the baseline failed at all 2 seeds"


def test_the_example_of_a_plain_table_holds() -> None:
    # The package's `effects` is the function, which hides no module: the module is called comparisons.
    done = doctest.testmod(importlib.import_module("analysis.statistics.effects"))
    assert (done.failed, done.attempted) == (0, 6)


def test_a_plain_table_gives_the_same_effects_as_the_trials_it_was_cut_from(contexts: Path) -> None:
    results = load(contexts)
    plain = results.trials[["context", "arm", "seed", "test_accuracy"]]
    found, known = effects(plain, metric="test_accuracy"), results.effects
    same = ["context", "arm", "n_pairs", "effect", "low", "high", "p", "p_holm", "verdict"]
    assert sorted(map(tuple, found[same].to_numpy())) == sorted(map(tuple, known[same].to_numpy()))


def test_a_loss_is_compared_only_where_its_direction_is_said() -> None:
    rows = [(arm, seed, seed + (arm == "kd")) for seed in range(3) for arm in ("baseline", "kd")]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "val_loss"])
    with pytest.raises(ValueError, match="--metric val_loss: not said whether a larger or a smaller value is better"):
        effects(frame, metric="val_loss")
    assert len(effects(frame, metric="val_loss", maximise=False)) == 1


def test_with_delta_words_say_how_large_an_effect_may_be() -> None:
    noise = np.array([-0.2, 0.1, 0.0, 0.2, -0.1, 0.0, 0.1, -0.1])
    gains = {"far": 5.0, "near": 1.05, "tiny": 0.3, "below": -0.3, "none": 0.0, "worse": -5.0}
    rows = [(arm, seed, gain + noise[seed]) for arm, gain in gains.items() for seed in range(8)]
    rows += [("baseline", seed, 0.0) for seed in range(8)]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "m"])
    table = effects(frame, metric="m", delta=1.0).set_index("arm")
    said = {arm: (row["verdict"], row["size"]) for arm, row in table.iterrows()}
    assert said == {
        "far": ("helps", "by more than delta"),
        "near": ("helps", "may be less than delta"),
        "tiny": ("equivalent", "and above 0"),
        "below": ("equivalent", "and below 0"),
        "none": ("equivalent", ""),
        "worse": ("hurts", "by more than delta"),
    }
    assert (table["p_holm"] <= table["p_both"] + 1e-15).all()
    without = effects(frame, metric="m").set_index("arm")
    assert (without["size"] == "").all()
    assert without["p_both"].isna().all()
    np.testing.assert_allclose(without["p_holm"], holm(without["p"].to_numpy()))
