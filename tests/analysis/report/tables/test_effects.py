"""The tables of effects."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.facts import Foreign
from analysis.report.table import markdown_tables
from analysis.report.tables import main_tables, side_tables
from analysis.report.tables.effects import effects_rows, published_text, verdict_text
from analysis.report.write import page
from cktf.rows import Status


def test_the_baseline_comes_first_and_effects_carry_their_sign(ablation: Path) -> None:
    header, baseline, *arms = effects_rows(load(ablation))
    assert header == [
        "arm",
        "n",
        "test accuracy (%), mean ± sd",
        "effect [95% interval] (percentage points)",
        "simultaneous",
        "p",
        "p (Holm)",
        "verdict",
        "note",
    ]
    assert (baseline[0], baseline[3], baseline[7]) == ("baseline", "baseline", "–")
    assert [row[0] for row in arms] == ["temperature=0.5", "temperature=0.05", "theta=0.0", "pairing=first"]
    assert arms[0][3].startswith("−2.9")
    assert arms[0][7] == "hurts"
    assert arms[2][7].startswith("undecided, detectable: ±1.")
    assert {len(row) for row in (header, baseline, *arms)} == {9}


def test_what_is_missing_stands_in_the_note(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=1)
    ledger.plan("theta=0.0", 1)
    ledger.plan("baseline", 1)
    _, baseline, arm = effects_rows(load(ledger.close()))
    assert baseline[-1] == "one complete trial: no spread"
    assert arm[4:] == [
        *("–", "–", "undecided"),
        "one pair: no interval; 1 of 2 seeds missing (seed 1: planned, baseline planned)",
    ]


def test_a_reference_has_a_column_of_its_own_in_the_contexts_that_have_one(contexts_writer: Callable[..., Any]) -> None:
    published = {"digits": {"kd": 91.25}}
    ledger = contexts_writer(reference_values=published, reference_teachers={"clothes": 82.0})
    _, digits, clothes = main_tables(load(ledger.close()))
    assert digits.rows[0][2:4] == ["test accuracy (%), mean ± sd", "reference"]
    assert [(row[0], row[3]) for row in digits.rows[1:]] == [("baseline", "–"), ("kd", "91.25"), ("fsp", "–")]
    assert digits.remark.endswith(" Reference: Some et al. 2023, Table 1.")
    assert "reference" not in clothes.rows[0]
    assert clothes.remark.endswith(" Reference: Some et al. 2023, Table 1. The teacher: 80.00, reference 82.00.")


def test_several_measured_teachers_are_not_called_unmeasured(contexts_writer: Callable[..., Any]) -> None:
    results = load(contexts_writer(reference_teachers={"clothes": 82.0}).close())
    for scores, said in ((results.trials["seed"] + 80.0, "several, in a table of their own"), (np.nan, "not measured")):
        measured = replace(results, trials=results.trials.assign(teacher_test_accuracy=scores))
        assert f"The teacher: {said}, reference 82.00." in main_tables(measured)[-1].remark


def test_a_reference_that_the_measured_mean_is_told_from_is_marked(contexts_writer: Callable[..., Any]) -> None:
    published = {"digits": {"baseline": [70.0, 0.5, 5], "kd": 91.5, "fsp": 12}}
    results = load(contexts_writer(reference_values=published).close())
    across, digits, _ = main_tables(results)
    arms = results.arms[results.arms["context"] == "digits"].set_index("arm")
    assert arms["low"]["kd"] < 91.5 < arms["high"]["kd"]
    assert [row[3] for row in digits.rows[1:]] == ["70.00 ± 0.50, n = 5*", "91.50", "12.00*"]
    by = arms["mean"]["baseline"] - 70
    assert digits.rows[1][-1].startswith(f"minus the reference: +{by:.2f} [+")
    assert "* Told from the measured mean" in digits.remark
    assert "* Told from the measured mean" in across.remark
    assert across.rows[2][1].endswith("(70.00 ± 0.50, n = 5*)")
    baseline = next(row for _, row in arms.reset_index().iterrows() if row["arm"] == "baseline")
    alone = baseline.replace({baseline["sd"]: np.nan})
    assert published_text(results, alone) == ("70.00 ± 0.50, n = 5", f"minus the reference: +{by:.2f}")


VERDICT = {
    **{
        "verdict": "undecided",
        "n_arm": 5,
        "n_baseline": 5,
        "detectable": 3.41,
        "alternative": "two_sided",
        "margin": 0.0,
    },
    **dict.fromkeys(("more_seeds_low", "more_seeds"), np.nan),
}
"""What a verdict is written from; each case below changes some of it."""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"verdict": "helps"}, "helps"),
        ({}, "undecided, detectable: ±3.4"),
        ({"detectable": np.nan}, "undecided"),
        ({"more_seeds_low": 0.0, "more_seeds": 1.0}, "undecided, about 1 more seed"),
        ({"more_seeds_low": 4.0, "more_seeds": 12.0}, "undecided, about 12 more seeds"),
        ({"more_seeds_low": 40.0, "more_seeds": np.inf}, "undecided, more than 100 more seeds"),
        ({"more_seeds_low": 0.0, "more_seeds": 0.0}, "undecided, though the seeds suffice for delta"),
        ({"n_arm": 4, "more_seeds_low": 2.0, "more_seeds": 12.0}, "undecided, 2 to 12 more seeds"),
        ({"n_baseline": 3, "more_seeds_low": 6.0, "more_seeds": np.inf}, "undecided, 6 to more than 100 more seeds"),
        ({"n_arm": 3, "more_seeds_low": np.inf, "more_seeds": np.inf}, "undecided, more than 100 more seeds"),
        ({"verdict": "not worse", "alternative": "better", "margin": -0.5}, "not worse by 0.5 or more"),
        ({"verdict": "not better", "alternative": "better", "margin": -0.5}, "not better by 0.5 or more"),
        ({"verdict": "helps", "alternative": "better", "margin": 0.5}, "helps by more than 0.5"),
        ({"verdict": "helps", "alternative": "better"}, "helps"),
        ({"alternative": "better", "margin": 0.5}, "undecided, detectable: +3.4"),
        ({"verdict": "helps", "size": "by more than delta"}, "helps, by more than delta"),
        ({"verdict": "hurts", "size": "may be less than delta"}, "hurts, may be less than delta"),
        ({"verdict": "equivalent", "size": "and above 0"}, "equivalent (and above 0)"),
    ],
)
def test_a_verdict_says_what_it_lacks_its_margin_and_how_large_the_effect_may_be(
    changes: dict[str, Any], text: str
) -> None:
    assert verdict_text(pd.Series(VERDICT | changes), 1) == text


def test_without_delta_no_number_of_seeds_is_asked_for_and_with_it_one_is(ablation_writer: Callable[..., Any]) -> None:
    for delta in (None, 0.1):
        (table,) = main_tables(load(ablation_writer(delta=delta).close()))
        text = markdown_tables([table])
        assert ("more seeds |" in text) == (delta is not None)
        assert ("detectable: ±" in text) == (delta is None)
        assert "Simultaneous intervals (98.75% each" in table.remark
        assert ("90% interval within ±delta, before the adjustment" in table.remark) == (delta is not None)
        assert ("at the strictest level of Holm's method, 0.05/4" in table.remark) == (delta is None)


def test_more_seeds_are_a_number_where_each_side_of_an_unpaired_comparison_has_enough_values(
    ablation_writer: Callable[..., Any],
) -> None:
    for seeds in (4, 6):
        results = load(ablation_writer(delta=0.3, seeds=seeds).close())
        foreign = Foreign(origin="", cannot_be_vouched_for=[], unpaired=True)
        (table,) = main_tables(replace(results, facts=replace(results.facts, foreign=foreign)))
        undecided = [row[-2] for row in table.rows if row[-2].startswith("undecided")]
        assert undecided
        assert any(" to " in verdict for verdict in undecided) == (seeds < 5) == ("a range" in table.remark)


def test_failures_of_one_side_are_told_for_the_rest_are_survivors(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    ledger.train(ledger.plan("theta=0.0", 3), 10.0, epochs=2, status=Status.FAILED, tests=False)
    ledger.train(ledger.plan("baseline", 3), 90.0)
    note = effects_rows(load(ledger.close()))[2][-1]
    assert note == (
        "1 of 4 seeds missing (seed 3: failed); only the arm failed: the effect is that of the seeds that it survived"
    )


def test_where_no_seed_is_left_no_effect_of_survivors_is_told(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=2)
    for seed in range(2):
        ledger.train(ledger.plan("theta=0.0", seed), 10.0, epochs=2, status=Status.FAILED, tests=False)
    note = effects_rows(load(ledger.close()))[2][-1]
    assert note == "failed at all 2 seeds; 2 of 2 seeds missing (seeds 0, 1: failed)"


def test_an_arm_without_a_baseline_is_shown(ablation_writer: Callable[..., Any]) -> None:
    results = load(ablation_writer(arms=["theta=0.0", "pairing=first"], seeds=2).close())
    assert [(row[0], row[-2], row[-1]) for row in effects_rows(results)[1:]] == [
        ("theta=0.0", "–", "no baseline to compare with"),
        ("pairing=first", "–", "no baseline to compare with"),
    ]
    assert [*side_tables(results)] == ["settings"]


def test_a_test_that_contradicts_the_deciding_one_is_told(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=6)
    scores = [0.9, 1.0, 1.1, 1.0, 0.9, -0.05]
    base = load_scores(ledger)
    for seed, change in enumerate(scores):
        ledger.train(ledger.plan("theta=0.0", seed), base[seed] + change)
    row = effects_rows(load(ledger.close()))[2]
    assert row[-2] == "helps"
    assert row[-1] == "the exact sign-flip test does not tell it from 0 (p adjusted likewise: 0.062)"


def test_where_the_sign_flip_test_cannot_reach_the_level_it_contradicts_nothing(
    ablation_writer: Callable[..., Any],
) -> None:
    # Of 6 pairs the smallest p is 1/32; in a family of 4 it is 0.125 once adjusted, whatever is seen.
    results = load(ablation_writer(seeds=6, noise=0.05).close())
    told = results.effects["p_holm"] < 0.05
    assert told.sum() > 1
    notes = [row[-1] for row in effects_rows(results)[2:]]
    cannot = (
        "the exact sign-flip test cannot confirm it at this number of seeds and comparisons (its smallest adjusted p "
        "is 0.12)"
    )
    assert notes == [cannot if is_told else "" for is_told in told]


def load_scores(ledger: Any) -> list[float]:
    """Return the baseline's accuracies, as they stand in the segment that is being written."""
    rows = [json.loads(line) for line in ledger.lines]
    return [row["test_accuracy"] for row in rows if row.get("test_accuracy") is not None]


def test_the_best_mean_is_bold_and_a_dagger_is_not_told_from_it(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=5)
    for seed, score in enumerate([70.0, 71.0, 70.5, 70.2, 70.7]):
        ledger.train(ledger.plan("worse", seed), score)
    results = load(ledger.close())
    (table,) = main_tables(results)
    best = results.best.set_index("arm")
    means = {row[0]: (number, 2) for number, row in enumerate(table.rows)}
    assert table.bold == {means[best.index[best["is_best"]][0]]}
    (other,) = {"baseline", "theta=0.0"} - set(best.index[best["is_best"]])
    assert table.daggered == {means[other]}
    text = markdown_tables([table])
    assert text.count("**") == 2
    assert text.count("†") == 2  # in its cell and in the footnote
    page_text = page(results, {}, {}, {})
    assert page_text.count("†</td>") == 1
    (bold,) = re.findall(r"<td><b>([0-9.]+ ± [0-9.]+)</b></td>", page_text)
    assert f"**{bold}**" in text
    assert "Bold: the best mean of 5 seeds or more. †: not told from it" in page_text


def test_contrasts_stand_in_the_table_with_the_other_side_and_every_mean_does(
    contexts_writer: Callable[..., Any],
) -> None:
    results = load(contexts_writer(contrasts=[["kd", "fsp"], ["baseline"]], family="context").close())
    _, digits, clothes = main_tables(results)
    assert digits.rows[0][:3] == ["arm", "against", "n"]
    assert [row[:2] for row in digits.rows[1:]] == [
        *(["baseline", "–"], ["kd", "fsp"], ["kd", "baseline"], ["fsp", "baseline"])
    ]
    assert [row[:2] for row in clothes.rows[1:]] == [["baseline", "–"], ["kd", "baseline"]]
    simultaneous = digits.rows[0].index("simultaneous")
    effect = results.effects.iloc[0]
    assert digits.rows[2][simultaneous] == (
        f"[{effect['low_simultaneous']:+.2f}, {effect['high_simultaneous']:+.2f}]".replace("-", "−")
    )
    assert "over the comparisons of each context (1 to 3)" in clothes.remark
    assert {row for row, _ in digits.bold | digits.daggered} <= {1, 2, 3, 4}
    assert "contexts: where one leaves out 0" in clothes.remark
    assert side_tables(results)["pairing"].rows[1][0] == "digits: kd against fsp"


def test_intervals_over_images_stand_beside_and_say_what_they_speak_of(ablation_writer: Callable[..., Any]) -> None:
    results = load(ablation_writer(arms=["baseline", "theta=0.0"], seeds=4).close())
    assert all("images" not in head for head in effects_rows(results)[0])
    draw = np.random.default_rng(0)
    bits = [base64.b64encode(draw.bytes(25)).decode() for _ in range(len(results.trials))]
    results = replace(results, trials=results.trials.assign(test_correct=bits, test_images=200.0))
    (table,) = main_tables(results)
    head, _, row = table.rows
    effect = results.effects.iloc[0]
    expected = f"[{effect['low_images']:+.2f}, {effect['high_images']:+.2f}]".replace("-", "−")
    assert row[head.index("also over unseen images")] == expected
    assert "takes seeds and test images as two crossed samples" in table.remark
    assert "also over unseen images" not in table.narrow()[0][0]


def test_the_page_says_that_effects_are_against_the_baseline_unless_a_column_names_another(
    contexts_writer: Callable[..., Any],
) -> None:
    results = load(contexts_writer(contrasts=[["baseline"]]).close())
    for contrasts, said in (([["baseline"]], "the baseline"), ([["kd", "fsp"]], "the arm that is named beside")):
        asked = replace(results.facts.study, contrasts=contrasts)
        html = page(replace(results, facts=replace(results.facts, asked=asked)), {}, {}, {})
        assert f"Effects are against {said} of the same context; the interval" in html
