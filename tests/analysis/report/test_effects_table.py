"""Tables as people read them."""

import io
import json
import re
from collections.abc import Callable
from csv import reader
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.report.effects_table import MEAN_COLUMN, effects_rows, main_tables, verdict_text
from analysis.report.side_tables import side_tables
from analysis.report.table import SMOKE, Table, csv, markdown, markdown_tables, markdown_text
from analysis.report.write import page
from analysis.wording import interval_text, number_text, p_text, quantity
from cktf.rows import Status

DIRECTION = "Of test accuracy, larger is better. "


def test_the_baseline_comes_first_and_effects_carry_their_sign(ablation: Path) -> None:
    header, baseline, *arms = effects_rows(load(ablation))
    assert header == [
        "arm",
        "n",
        "test accuracy (%), mean ± sd",
        "effect [95% interval] (percentage points)",
        "p",
        "p (Holm)",
        "verdict",
        "note",
    ]
    assert (baseline[0], baseline[3], baseline[6]) == ("baseline", "baseline", "–")
    assert [row[0] for row in arms] == ["temperature=0.5", "temperature=0.05", "theta=0.0", "pairing=first"]
    assert arms[0][3].startswith("−2.9")
    assert arms[0][6] == "hurts"
    assert arms[2][6].startswith("undecided, detectable: ±1.")
    assert {len(row) for row in (header, baseline, *arms)} == {8}


def test_what_is_missing_stands_in_the_note(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=1)
    ledger.plan("theta=0.0", 1)
    ledger.plan("baseline", 1)
    ledger.close_segment()
    _, baseline, arm = effects_rows(load(ledger.run))
    assert baseline[-1] == "one complete trial: no spread"
    assert arm[4:] == [
        *("–", "–", "undecided"),
        "one pair: no interval; 1 of 2 seeds missing (seed 1: planned, baseline planned)",
    ]


def test_a_search_without_confirmation_answers_with_its_leaderboard(search: Path) -> None:
    (table,) = main_tables(load(search))
    title, rows = table.title, table.rows
    assert title == "Best arms by search score (selected on it: optimistic)"
    assert rows[0][2] == "validation accuracy (%), search score"
    assert len(rows) == 11


@pytest.mark.parametrize(
    ("p", "text"), [(1e-9, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (np.nan, "–")]
)
def test_a_p_value_is_never_printed_as_zero(p: float, text: str) -> None:
    assert p_text(p) == text


def test_numbers_that_are_missing_are_a_dash() -> None:
    assert [number_text(value, 1) for value in (None, np.nan, -1.25)] == ["–", "–", "−1.2"]


def test_a_terminal_has_the_notes_below_the_table() -> None:
    table = Table("t", [["arm", "n", "p", "note"], ["a", "5", "0.1", ""], ["b", "1", "0.2", "one pair"]])
    assert table.narrow() == ([["arm", "n"], ["a", "5"], ["b", "1"]], ["b: one pair"])
    assert Table("t", [["arm"], ["a"]]).narrow() == ([["arm"], ["a"]], [])


def test_cells_do_not_break_a_markdown_table() -> None:
    assert markdown([["arm", "note"], ["a|b", "two\nlines"]]) == (
        "| arm | note |\n| --- | --- |\n| a\\|b | two lines |\n"
    )


def test_cells_open_no_element_of_html_in_markdown_and_p_stays_as_it_is() -> None:
    assert "| \\<b>kd\\</b> | < 0.001 |" in markdown([["arm", "p"], ["<b>kd</b>", "< 0.001"]])


def test_several_contexts_stand_side_by_side_before_the_effects_of_each(contexts: Path) -> None:
    results = load(contexts)
    across, digits, clothes = main_tables(results)
    assert across.title == "Test accuracy (%), mean ± sd"
    assert digits.title == "Effects on test accuracy: digits"
    assert clothes.rows == effects_rows(results, "clothes")
    mean = results.arms.set_index(["context", "arm"])["mean"]
    header, teacher, baseline, kd, fsp = across.rows
    assert header == ["arm", "digits", "clothes"]
    assert teacher == ["teacher", "96.50 (97.50)", "80.00"]
    assert baseline[1].startswith(f"{mean['digits', 'baseline']:.2f} ± ")
    assert baseline[1].endswith(" (89.50)")
    assert kd[2].startswith(f"{mean['clothes', 'kd']:.2f} ± ")
    assert (fsp[0], fsp[2]) == ("fsp", "–")
    assert (
        across.remark
        == DIRECTION + "n = 4 in each cell. In parentheses: the reference, Some et al. 2023, Table 1."
    )


def test_cells_say_how_many_seeds_they_are_of_where_these_differ(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer()
    ledger.train(ledger.plan("fsp", 7, context="digits"), 88.0)
    ledger.close_segment()
    across = main_tables(load(ledger.run))[0]
    assert across.rows[2][1].endswith(", n = 4 (89.50)")
    assert across.rows[4][1].endswith(", n = 5")
    assert across.remark.startswith(DIRECTION + "n is the number of seeds. In")


def test_a_reference_has_a_column_of_its_own_in_the_contexts_that_have_one(
    contexts_writer: Callable[..., Any],
) -> None:
    published = {"digits": {"kd": 91.25}}
    ledger = contexts_writer(reference_values=published, reference_teachers={"clothes": 82.0})
    ledger.close_segment()
    _, digits, clothes = main_tables(load(ledger.run))
    assert digits.rows[0][2:4] == ["test accuracy (%), mean ± sd", "reference"]
    assert [(row[0], row[3]) for row in digits.rows[1:]] == [("baseline", "–"), ("kd", "91.25"), ("fsp", "–")]
    assert digits.remark.endswith(" Reference: Some et al. 2023, Table 1.")
    assert "reference" not in clothes.rows[0]
    assert clothes.remark.endswith(
        " Reference: Some et al. 2023, Table 1. The teacher: 80.00, reference 82.00."
    )


def test_teachers_that_differ_within_a_context_are_not_told(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer()
    ledger.train(ledger.plan("other teacher", 0, context="digits", teacher_id="teacher-clothes"), 90.0)
    ledger.close_segment()
    assert main_tables(load(ledger.run))[0].rows[1] == ["teacher", "– (97.50)", "80.00"]


def test_several_tables_in_markdown_stand_under_their_titles(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer(seeds=5)
    ledger.close_segment()
    tables = main_tables(load(ledger.run))
    text = markdown_tables(tables)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## {t.title}" for t in tables]
    assert (
        f"\n\n{DIRECTION}n = 5 in each cell. In parentheses: the reference, Some et al. 2023, Table 1. Bold: the "
        in text
    )
    # kd, the best on digits; the reference is not bold
    assert re.search(
        r"\n\| kd \| \*\*[0-9.]+ ± [0-9.]+\*\* \(91\.25\) \| [0-9.]+ ± [0-9.]+ \(61\.00\) \|\n", text
    )
    assert markdown_tables(tables[:1]).startswith("| arm | digits | clothes |\n")


@pytest.mark.parametrize(
    ("verdict", "n_pairs", "low", "more", "text"),
    [
        ("helps", 5, np.nan, np.nan, "helps"),
        ("undecided", 5, np.nan, np.nan, "undecided, detectable: ±3.4"),
        ("undecided", 5, 0.0, 1.0, "undecided, about 1 more seed"),
        ("undecided", 5, 4.0, 12.0, "undecided, about 12 more seeds"),
        ("undecided", 5, 40.0, np.inf, "undecided, more than 100 more seeds"),
        ("undecided", 5, 0.0, 0.0, "undecided, though the seeds suffice for delta"),
        ("undecided", 4, 2.0, 12.0, "undecided, 2 to 12 more seeds"),
        ("undecided", 3, 6.0, np.inf, "undecided, 6 to more than 100 more seeds"),
        ("undecided", 3, np.inf, np.inf, "undecided, more than 100 more seeds"),
    ],
)
def test_an_open_verdict_says_what_it_lacks(
    verdict: str, n_pairs: int, low: float, more: float, text: str
) -> None:
    row = {
        "verdict": verdict,
        "n_pairs": n_pairs,
        "detectable": 3.41,
        "more_seeds_low": low,
        "more_seeds": more,
    }
    assert verdict_text(pd.Series(row), 1) == text


def test_an_arm_without_a_test_is_just_undecided() -> None:
    row = {"verdict": "undecided", "detectable": np.nan, "more_seeds_low": np.nan, "more_seeds": np.nan}
    assert verdict_text(pd.Series(row), 1) == "undecided"


def test_without_delta_no_number_of_seeds_is_asked_for_and_with_it_one_is(
    ablation_writer: Callable[..., Any],
) -> None:
    for delta in (None, 0.1):
        ledger = ablation_writer(delta=delta)
        ledger.close_segment()
        (table,) = main_tables(load(ledger.run))
        text = markdown_tables([table])
        assert ("more seeds |" in text) == (delta is not None)
        assert ("detectable: ±" in text) == (delta is None)
        assert "Simultaneous intervals (98.75% each" in table.remark
        assert ("90% interval within ±delta, before the adjustment" in table.remark) == (delta is not None)
        assert ("at the strictest level of Holm's method, 0.05/4" in table.remark) == (delta is None)


def test_failures_of_one_side_are_told_for_the_rest_are_survivors(
    ablation_writer: Callable[..., Any],
) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    ledger.train(ledger.plan("theta=0.0", 3), 10.0, epochs=2, status=Status.FAILED, tests=False)
    ledger.train(ledger.plan("baseline", 3), 90.0)
    ledger.close_segment()
    note = effects_rows(load(ledger.run))[2][-1]
    assert note == (
        "1 of 4 seeds missing (seed 3: failed); "
        "only the arm failed: the effect is that of the seeds that it survived"
    )


def test_where_no_seed_is_left_no_effect_of_survivors_is_told(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=2)
    for seed in range(2):
        ledger.train(ledger.plan("theta=0.0", seed), 10.0, epochs=2, status=Status.FAILED, tests=False)
    ledger.close_segment()
    note = effects_rows(load(ledger.run))[2][-1]
    assert note == "failed at all 2 seeds; 2 of 2 seeds missing (seeds 0, 1: failed)"


def test_an_arm_without_a_baseline_is_shown(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["theta=0.0", "pairing=first"], seeds=2)
    ledger.close_segment()
    results = load(ledger.run)
    assert [(row[0], row[-2], row[-1]) for row in effects_rows(results)[1:]] == [
        ("theta=0.0", "–", "no baseline to compare with"),
        ("pairing=first", "–", "no baseline to compare with"),
    ]
    assert side_tables(results) == {}


def test_a_test_that_contradicts_the_deciding_one_is_told(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=6)
    scores = [0.9, 1.0, 1.1, 1.0, 0.9, -0.05]
    base = load_scores(ledger)
    for seed, change in enumerate(scores):
        ledger.train(ledger.plan("theta=0.0", seed), base[seed] + change)
    ledger.close_segment()
    row = effects_rows(load(ledger.run))[2]
    assert row[-2] == "helps"
    assert row[-1] == "the exact sign-flip test does not tell it from 0 (p adjusted likewise: 0.062)"


def test_where_the_sign_flip_test_cannot_reach_the_level_it_contradicts_nothing(
    ablation_writer: Callable[..., Any],
) -> None:
    # Of 6 pairs the smallest p is 1/32; in a family of 4 it is 0.125 once adjusted, whatever is seen.
    ledger = ablation_writer(seeds=6, noise=0.05)
    ledger.close_segment()
    results = load(ledger.run)
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


def test_every_table_of_a_smoke_run_says_that_its_numbers_mean_nothing(
    contexts_writer: Callable[..., Any],
) -> None:
    ledger = contexts_writer(is_smoke=True)
    ledger.close_segment()
    results = load(ledger.run)
    tables = main_tables(results)
    assert len(tables) == 3
    for table in (*tables, *side_tables(results).values()):
        assert table.title.startswith("Smoke run: ")
        assert table.remark.startswith(SMOKE)
    assert markdown_tables(tables).count(SMOKE) == 3


def test_the_best_mean_is_bold_and_a_dagger_is_not_told_from_it(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=5)
    for seed, score in enumerate([70.0, 71.0, 70.5, 70.2, 70.7]):
        ledger.train(ledger.plan("worse", seed), score)
    ledger.close_segment()
    results = load(ledger.run)
    (table,) = main_tables(results)
    best = results.best.set_index("arm")
    means = {row[0]: (number, MEAN_COLUMN) for number, row in enumerate(table.rows)}
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


def test_an_interval_of_a_mean_is_cut_where_an_accuracy_ends() -> None:
    assert interval_text(93.1, 105.9, quantity("test_accuracy")) == " [93.10, 100.00]"
    assert interval_text(-0.5, 0.2, quantity("test_loss")) == " [−0.5000, 0.2000]"
    assert interval_text(np.nan, np.nan, quantity("test_accuracy")) == ""


@pytest.mark.parametrize(("maximise", "word"), [(True, "larger"), (False, "smaller")])
def test_every_table_of_the_metric_says_which_direction_is_better(
    contexts_writer: Callable[..., Any], *, maximise: bool, word: str
) -> None:
    ledger = contexts_writer(maximise=maximise)
    ledger.close_segment()
    results = load(ledger.run)
    for table in (*main_tables(results), *side_tables(results).values()):
        assert table.remark.startswith(f"Of test accuracy, {word} is better.")


def test_a_search_says_it_too_but_not_of_what_is_no_score(search: Path) -> None:
    results = load(search)
    assert main_tables(results)[0].remark.startswith("Of validation accuracy, larger is better.")
    assert "is better" not in side_tables(results)["importances"].remark


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("![x](http://e/x.png) [a](javascript:1)", r"![x\](http://e/x.png) [a\](javascript:1)"),
        ("[a]: http://x [b][a]", r"[a\]: http://x [b\][a]"),
        ("a_b _c_ **d** `x` ~e~ a|b", r"a_b \_c\_ \*\*d\*\* \`x\` \~e\~ a\|b"),
        ("&lt;b&gt; a & b", r"\&lt;b\&gt; a & b"),
        ("a\n# b\u2028c", "a # b c"),
        ("p < 0.05, effect [95% interval] (points)", "p < 0.05, effect [95% interval] (points)"),
    ],
)
def test_words_in_markdown_are_no_markup(words: str, shown: str) -> None:
    assert markdown_text(words) == shown
    table = Table(words, [["arm"], [words]], words)
    written = markdown_tables([table, Table("b", [["c"], ["d"]])])
    assert written.splitlines()[0] == f"## {shown}"
    assert f"\n| {shown} |\n\n{shown}\n" in written


def test_cells_that_a_spreadsheet_would_compute_stand_behind_an_apostrophe() -> None:
    names = ["=1+1", "+1", "-2+3", "@x", "\tx", "\rx", "-2", "-1.5e3", "a=b"]
    written = csv(pd.DataFrame({"arm": names, "=x": [-1.5] * len(names)}))
    rows = list(reader(io.StringIO(written, newline="")))
    found = pd.DataFrame(rows[1:], columns=rows[0])
    assert list(found.columns) == ["arm", "'=x"]
    assert found["arm"].tolist() == ["'=1+1", "+1", "'-2+3", "'@x", "'\tx", "' x", "-2", "-1.5e3", "a=b"]
    assert set(found["'=x"]) == {"-1.5"}
