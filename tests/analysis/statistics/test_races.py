"""The effects of a race, and of a study whose seeds were added later."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.facts import Facts
from analysis.statistics.anytime import anytime_p
from analysis.statistics.effects import RACE_TEST, effects
from analysis.statistics.measures import measure_effects
from analysis.statistics.over_contexts import over_contexts
from cktf.looks import Race
from cktf.rows import StudyRow
from cktf.verdicts import adjusted

SEEDS = {"baseline": 6, "early": 3, "late": 6}


def trials() -> pd.DataFrame:
    """A race with looks at 3, 6 and 9 seeds: one arm was out at the first, and the third look is not over."""
    draws = np.random.default_rng(0)
    rows = [(arm, seed, (arm == "early") * 90.0 + draws.normal()) for arm, n in SEEDS.items() for seed in range(n)]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "test_accuracy"])
    later = pd.DataFrame(
        {"arm": ["baseline", "late"], "seed": 6, "test_accuracy": [90.0, np.nan], "status": ["complete", "running"]}
    )
    frame = pd.concat([frame.assign(status="complete"), later], ignore_index=True)
    return frame.assign(
        context="",
        arm_id=frame["arm"],
        is_baseline=frame["arm"] == "baseline",
        stage="design",
        number=frame["seed"] * 3 + frame["arm"].map({"baseline": 0, "early": 1, "late": 2}),
    )


def test_a_comparison_has_the_figures_of_its_last_look() -> None:
    frame = trials()
    found = effects(frame, metric="test_accuracy", looks=[3, 6, 9]).set_index("arm")
    assert dict(found["n_looks"]) == {"early": 1, "late": 2}
    assert dict(found["n_pairs"]) == {"early": 3, "late": 6}
    assert {*found["test"]} == {RACE_TEST}
    race = Race((3, 6, 9), "power2")
    wide = frame.pivot(index="arm", columns="seed", values="test_accuracy")
    for arm, had in (("early", 1), ("late", 2)):
        n = race.looks[had - 1]
        values, against = (wide.loc[[name]].to_numpy()[:, :n] for name in (arm, "baseline"))
        judged = race.judged(values, against, np.array([had]))
        assert found.at[arm, "p"] == pytest.approx(judged.p[0])
        assert found.at[arm, "p_anytime"] == pytest.approx(anytime_p(values - against)[0])
        half = race.width(judged.sd, judged.n_pairs, np.array([had]), 0.05)[0]
        assert (found["high"] - found["effect"])[arm] == pytest.approx(half)
        half = race.width(judged.sd, judged.n_pairs, np.array([had]), 0.025)[0]
        assert (found["high_simultaneous"] - found["effect"])[arm] == pytest.approx(half)
    assert found.at["early", "verdict"] == "helps"
    assert found["detectable"].isna().all()
    assert found["p_flip"].isna().all()


def test_contexts_that_are_races_of_their_own_have_seeds_of_their_own_in_their_own_order() -> None:
    one = trials()
    own = {0: 15, 1: 12, 2: 2, 3: 1, 4: 11, 5: 0, 6: 13}
    other = one.assign(context="b", arm_id="b/" + one["arm"], seed=one["seed"].map(own), number=one["number"] + 100)
    alone, together = (
        effects(frame, metric="test_accuracy", looks=[3, 6, 9], family="context")
        for frame in (other, pd.concat([one, other]))
    )
    pd.testing.assert_frame_equal(together[together["context"] == "b"].reset_index(drop=True), alone)
    expected = effects(one, metric="test_accuracy", looks=[3, 6, 9])
    for name in ("n_looks", "p", "p_anytime", "high"):
        np.testing.assert_array_equal(together.loc[together["context"] == "b", name], expected[name])


def test_before_the_first_look_nothing_is_judged() -> None:
    found = effects(trials(), metric="test_accuracy", looks=[7, 9])
    assert found["p"].isna().all()
    assert {*found["reason"]} == {"no look was due yet"}
    assert {*found["verdict"]} == {"undecided"}


@pytest.mark.parametrize("alternative", ["two_sided", "better"])
def test_after_an_extension_the_p_that_holds_at_any_time_decides(alternative: str) -> None:
    frame = trials()
    fixed = effects(frame, metric="test_accuracy", alternative=alternative)
    found = effects(frame, metric="test_accuracy", alternative=alternative, is_extended=True)
    np.testing.assert_allclose(found["p"], found["p_anytime"])
    np.testing.assert_allclose(found["p_holm"], fixed["p_anytime_holm"])
    assert (found["p"] > fixed["p"]).all()
    half = (found["high"] - found["effect"])[found["n_pairs"] > 4]
    assert (half > (fixed["high"] - fixed["effect"])[found["n_pairs"] > 4]).all()
    assert {*found["test"]} == {"mixture t"}


def test_equivalence_after_an_extension_is_of_both_sides_at_any_time() -> None:
    frame = trials()
    found = effects(frame, metric="test_accuracy", delta=3.0, is_extended=True).set_index("arm")
    wide = frame.pivot(index="arm", columns="seed", values="test_accuracy")
    d = np.asarray(wide.loc["late"], dtype=np.float64) - np.asarray(wide.loc["baseline"], dtype=np.float64)
    assert found.at["late", "p_equivalence"] == pytest.approx(max(anytime_p(d, -3.0, 1), anytime_p(d, 3.0, -1)))


@pytest.mark.parametrize("ways", [{"looks": [3, 6, 9]}, {"is_extended": True}])
def test_both_questions_are_one_family_and_sizes_are_told_by_the_intervals_that_account_for_looks(ways: Any) -> None:
    found = effects(trials(), metric="test_accuracy", delta=3.0, **ways).set_index("arm")
    both = adjusted(found["p"].to_numpy(), found["p_equivalence"].to_numpy())
    np.testing.assert_allclose(found[["p_both", "p_equivalence_both"]].to_numpy().T, both)
    if "looks" in ways:
        assert (found.at["early", "verdict"], found.at["early", "size"]) == ("helps", "by more than delta")
    assert found.at["late", "size"] == ""


def test_over_contexts_and_on_other_measures_looks_are_accounted_for() -> None:
    frame = pd.concat([trials().assign(context=c, arm_id=trials()["arm"] + c) for c in "abcd"], ignore_index=True)
    frame = frame.assign(**{"measure.ece": frame["test_accuracy"]})
    for ways in ({"looks": [3, 6, 9]}, {"is_extended": True}):
        table = over_contexts(effects(frame, metric="test_accuracy", **ways), dict.fromkeys("abcd", 1.0), maximise=True)
        assert table[["p", "p_holm", "p_in_noise", "p_in_noise_holm"]].isna().all(axis=None)
        assert {*table["verdict"]} == {"undecided"}
        assert all("depend on results" in reason for reason in table["reason"])
    found = measure_effects(frame, {"measure.ece": False}, besides="test_accuracy", is_extended=True)
    assert {*found["test"]} == {"mixture t"}


def test_a_run_is_extended_where_its_launches_ask_other_seeds() -> None:
    row = StudyRow(
        study="s",
        run="r",
        question="",
        design="compare",
        metric="validation_accuracy",
        report_metric="test_accuracy",
        maximise=True,
        baseline_arm_id="b",
        factors=[],
        asked={"seeds": "5", "confirm": ""},
    )
    launches = [row, row, replace(row, run="other", asked={"seeds": "9"})]
    facts = Facts(launches=launches, study_file="", torn_lines=0, ledger="")
    assert not facts.is_extended
    assert replace(facts, launches=[row, replace(row, asked={"seeds": "8", "confirm": ""})]).is_extended
    raced = replace(row, looks=[3, 6])
    assert not replace(facts, launches=[raced]).is_extended
    assert replace(facts, launches=[raced], asked=replace(row, is_afterthought=True)).is_extended
