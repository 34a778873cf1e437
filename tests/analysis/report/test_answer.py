"""The sentence that answers a study's question."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis import load
from analysis.report.answer import answer_text
from analysis.wording import effect_text
from cktf.verdicts import Verdict


def test_what_is_decided_comes_first_with_its_size_and_the_rest_is_named(ablation: Path) -> None:
    results = load(ablation)
    effects = results.effects.set_index("arm")
    worst = effects[effects.index == "temperature=0.5"].iloc[0]
    assert worst["verdict"] == Verdict.HURTS
    text = answer_text(results)
    assert text.startswith(f"temperature=0.5 hurts: {effect_text(worst, 2)} points; ")
    (open_arms,) = [names for names in [[*effects.index[effects["verdict"] == Verdict.UNDECIDED]]] if names]
    assert all(arm in text.partition("; of ")[2] for arm in open_arms)
    assert text.endswith(" nothing is decided at 5 seeds.")


def test_a_study_under_way_says_so_far_and_a_smoke_run_nothing(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=3)
    ledger.plan("theta=0.0", 99, {"objective.cktf.theta": 0.0})
    assert answer_text(load(ledger.close())).startswith("So far, ")


def test_one_more_decided_comparison_is_one(ablation_writer: Callable[..., Any]) -> None:
    arms = [f"temperature={level}" for level in range(1, 8)]
    ledger = ablation_writer(arms=[])
    for seed in range(3):
        for place, arm in enumerate(["baseline", *arms]):
            trial_id = ledger.plan(arm, seed, {"objective.cktf.temperature": place} if place else {})
            ledger.train(trial_id, 50 + 5.0 * place + 0.001 * seed * place)
    text = answer_text(load(ledger.close()))
    assert text.count(" helps: ") == 6
    assert text.endswith("; 1 more is decided.")


def test_a_search_without_confirmation_says_that_nothing_is_confirmed(search: Path) -> None:
    results = load(search)
    best = results.leaderboard.iloc[0]
    assert answer_text(results) == (
        f"Nothing is confirmed: {best['arm']} has the best search score, {best['score']:.2f} %, by which it was "
        "selected."
    )
