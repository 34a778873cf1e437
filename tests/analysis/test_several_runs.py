"""Several runs read together."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from analysis import Results, load, read_csv, write_results
from analysis.report import write
from analysis.report.methods import methods_text
from analysis.report.provenance import provenance_rows
from analysis.report.tables import main_tables
from analysis.report.tables.effects import context_rows
from analysis.statistics.over_contexts import shared_names
from cktf.rows import Status
from tests.analysis.command import main

STATISTICS = ["context", "arm", "n_pairs", "effect", "low", "high", "p", "p_holm", "verdict"]


def moved(run: Path, name: str) -> Path:
    """Move the run directory that fixtures write into, so that another may be written."""
    return Path(shutil.move(run, run.parent / name))


def of_another_baseline(run: Path) -> Path:
    """Give all arms and trials of a run identities of their own, as if some other setting differed in all of them."""
    for segment in (run / "ledger").iterdir():
        text = segment.read_text().replace("arm-", "other-arm-").replace('"trial_id":"', '"trial_id":"other-')
        segment.write_text(text)
    return run


@pytest.fixture
def halves(ablation_writer: Callable[..., Any]) -> list[Path]:
    """Return an ablation of five seeds as two runs, three seeds in the one and all five in the other."""
    runs = []
    for name, seeds in (("one", 3), ("other", 5)):
        runs.append(moved(ablation_writer(seeds=seeds).close(), name))
    return runs


def test_runs_of_one_study_are_one_study_and_a_trial_in_both_counts_once(halves: list[Path]) -> None:
    both = load(*halves)
    assert len(both.trials) == 25
    assert both.trials["run"].value_counts().to_dict() == {"run-1": 15, "run-1 (2)": 10}
    assert both.trials["number"].tolist() == list(range(25))
    assert len(both.epochs) == 100
    assert not both.epochs.duplicated(["trial_id", "epoch"]).any()
    assert both.contexts == [""]
    first = load(halves[0]).trials.set_index("trial_id")["test_accuracy"]
    assert both.trials.set_index("trial_id")["test_accuracy"].loc[first.index].equals(first)
    assert set(both.effects["n_pairs"]) == {5}


def test_the_complete_one_of_two_trials_wins_whichever_run_is_named_first(ablation_writer: Callable[..., Any]) -> None:
    runs = []
    for name, lost in (("one", "theta=0.0"), ("other", "pairing=first")):
        ledger = ablation_writer(arms=["baseline"], seeds=1)
        for arm in ("theta=0.0", "pairing=first"):
            status = Status.FAILED if arm == lost else Status.COMPLETE
            ledger.train(ledger.plan(arm, 0), 80.0, epochs=1 if arm == lost else 4, status=status, reason="x")
        runs.append(moved(ledger.close(), name))
    for order in (runs, runs[::-1]):
        both = load(*order)
        assert both.trials.set_index("arm")["status"].tolist() == [Status.COMPLETE] * 3
        names = dict(zip(order, ("run-1", "run-1 (2)"), strict=True))
        owners = both.trials.set_index("arm")["run"]
        assert [owners["theta=0.0"], owners["pairing=first"]] == [names[runs[1]], names[runs[0]]]
        assert owners["baseline"] == "run-1"
        assert both.epochs["trial_id"].value_counts().tolist() == [4, 4, 4]


def test_runs_of_different_studies_are_contexts_of_their_own(ablation: Path, grid_writer: Any) -> None:
    alone = load(ablation).effects
    first = moved(ablation, "first")
    both = load(first, of_another_baseline(grid_writer().close()))
    assert both.contexts == ["run-1", "run-1 (2)"]
    ours = both.effects[both.effects["context"] == "run-1"].reset_index(drop=True)
    same = ["arm", "factor", "n_pairs", "effect", "low", "high", "p"]
    pd.testing.assert_frame_equal(ours[same], alone[same])
    assert len(both.effects) == 4 + 5
    assert both.interactions.empty
    assert both.trials["trial_id"].is_unique
    assert both.arms["is_baseline"].sum() == 2
    assert "each study is a context of its own, whose arms are compared with its own baseline" in methods_text(both)


def test_different_designs_around_one_baseline_are_one_study(ablation: Path, grid_writer: Any) -> None:
    first = moved(ablation, "first")
    alone = load(first)
    ledger = grid_writer()
    grid = load(ledger.close())
    both = load(first, ledger.run)
    assert both.contexts == [""]
    assert both.trials["trial_id"].is_unique
    assert set(both.trials["trial_id"]) == {*alone.trials["trial_id"], *grid.trials["trial_id"]}
    assert both.trials["is_baseline"].sum() == 5
    assert len(both.effects) == len({*alone.effects["arm_id"], *grid.effects["arm_id"]})
    assert both.over_contexts.empty
    assert both.ranks.empty
    assert both.interactions.empty
    assert both.facts.study.factors == list(dict.fromkeys((*alone.facts.study.factors, *grid.facts.study.factors)))
    assert "studies of several designs, which share their baseline" in methods_text(both)


def plan_one(writer: Callable[..., Any], name: str, factor: str, arm: str, *, factors: list[str] | None = None) -> Path:
    """Write a run of three seeds with one arm beside the baseline, and move it."""
    ledger = writer(arms=["baseline"], seeds=3, factors=factors or [factor])
    for seed in range(3):
        ledger.train(ledger.plan(arm, seed, {factor: 0.5}), 80.0 + seed % 2)
    return moved(ledger.close(), name)


CKTF, KD = "objective.cktf.temperature", "objective.kd.temperature"


def test_a_study_that_was_asked_more_is_one_with_the_levels_of_all_factors(ablation_writer: Callable[..., Any]) -> None:
    theta = "objective.cktf.theta"
    runs = [
        plan_one(ablation_writer, "one", CKTF, "temperature=0.5"),
        plan_one(ablation_writer, "other", theta, "theta=0.5", factors=[CKTF, theta]),
    ]
    both = load(*runs)
    assert both.contexts == [""]
    assert len(both.trials) == 9
    assert both.facts.study.design == "one_at_a_time"
    levels = both.trials.drop_duplicates("arm").set_index("arm")[[f"param.{CKTF}", f"param.{theta}"]]
    assert levels.loc["temperature=0.5"].to_numpy().tolist() == [0.5, 0.1]
    assert levels.loc["theta=0.5"].to_numpy().tolist() == [0.1, 0.5]
    assert both.effects.set_index("arm")["factor"].to_dict() == {"temperature=0.5": CKTF, "theta=0.5": theta}


def test_arms_of_different_factors_that_end_alike_are_told_apart(ablation_writer: Callable[..., Any]) -> None:
    runs = [plan_one(ablation_writer, "one", CKTF, "temperature=0.5")]
    runs.append(of_another_baseline(plan_one(ablation_writer, "other", KD, "temperature=0.5")))
    both = load(*runs)
    assert both.contexts == ["run-1", "run-1 (2)"]
    assert both.effects["arm"].tolist() == ["cktf.temperature=0.5", "kd.temperature=0.5"]
    assert set(both.epochs["arm"].astype("str")) == {"baseline", *both.effects["arm"]}
    assert both.over_contexts.empty


def test_contrasts_and_other_names_follow_the_new_names_of_arms(ablation_writer: Callable[..., Any]) -> None:
    def asked(name: str, compared: str, *factors: str) -> Path:
        """Write a run whose arm at 0.5 trains like another, at 0.7, by whose name it is compared."""
        contrasts = [[compared, "baseline"]]
        ledger = ablation_writer(arms=["baseline"], seeds=3, factors=[*factors], contrasts=contrasts)
        alike = compared.replace("0.7", "0.5"), [{"arm": compared, "params": {factors[0]: 0.7}}]
        for seed in range(3):
            ledger.train(ledger.plan(alike[0], seed, {factors[0]: 0.5}, aliases=alike[1]), 80.0 + seed % 2)
        return moved(ledger.close(), name)

    first, second = asked("one", "temperature=0.7", CKTF), asked("two", "cktf.temperature=0.7", CKTF, KD)
    both = load(first, second)
    assert both.facts.study.contrasts == [["cktf.temperature=0.7", "baseline"]]
    assert set(both.effects["arm"]) == {"cktf.temperature=0.5"}
    other = of_another_baseline(asked("three", "temperature=0.7", KD))
    with pytest.raises(ValueError, match=r"contrasts is the same: .*'cktf\.temperature=0\.7'.*'kd\.temperature=0\.7'"):
        load(first, other)


def test_two_arms_of_one_name_are_told_apart_by_their_runs(ablation_writer: Callable[..., Any]) -> None:
    first = plan_one(ablation_writer, "one", CKTF, "warm")
    ledger = ablation_writer(arms=["baseline"], seeds=3, factors=[KD])
    for seed in range(3):
        ledger.train(ledger.plan("hot", seed, {KD: 0.5}), 82.0)
    (segment,) = (ledger.close() / "ledger").iterdir()
    segment.write_text(segment.read_text().replace('"arm":"hot"', '"arm":"warm"'))
    both = load(first, ledger.run)
    assert both.effects["arm"].tolist() == ["warm", "warm (run-1 (2))"]


def test_studies_that_share_trials_but_no_baseline_are_refused(ablation_writer: Callable[..., Any]) -> None:
    first = plan_one(ablation_writer, "one", CKTF, "temperature=0.5")
    ledger = ablation_writer(arms=[], seeds=3, baseline_arm_id="arm-temperature=0.5")
    for seed in range(3):
        ledger.train(ledger.plan("temperature=0.5", seed, {CKTF: 0.5}), 80.0)
    with pytest.raises(ValueError, match=r"run: holds trials of arm 'temperature=0.5' that .*one holds, and no base"):
        load(first, ledger.close())


def test_a_context_with_two_baselines_is_refused(contexts: Path, contexts_writer: Callable[..., Any]) -> None:
    first = moved(contexts, "first")
    ledger = contexts_writer()
    (segment,) = (ledger.close() / "ledger").iterdir()
    segment.write_text(segment.read_text().replace("clothesarm-baseline", "clothesarm-other"))
    with pytest.raises(ValueError, match=r"run: context 'clothes' has another baseline than in the other runs"):
        load(first, ledger.run)


def test_arms_of_studies_in_contexts_are_summarised_over_all_of_them(
    contexts: Path, many_contexts: Callable[..., Path]
) -> None:
    both = load(moved(contexts, "first"), many_contexts(2))
    assert both.contexts == ["run-1: digits", "run-1: clothes", "run-1 (2): pair 0", "run-1 (2): pair 1"]
    counts = both.over_contexts.set_index("arm")["n_contexts"]
    assert (counts["kd"], counts["at"]) == (4, 2)
    assert both.facts.study.reference_values["run-1: clothes"] == {"kd": 61.0}
    assert both.facts.study.baseline_of("run-1 (2): pair 1") == "run-1 (2)/pair 1arm-baseline"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"report_metric": "test_loss"}, "where report_metric is the same: it is test_accuracy in "),
        ({"maximise": False}, "where maximise is the same: it is True in "),
        ({"delta": 0.5}, "where delta is the same: it is None in "),
        ({"is_smoke": True}, "where is_smoke is the same: it is False in "),
        ({"workers": 2}, "where workers is the same: it is 1 in "),
        ({"measure_settings": {"ece": '{"bins":10}'}}, 'measure ece has the same settings: they are {"bins":15} in '),
    ],
)
def test_runs_whose_numbers_cannot_stand_side_by_side_are_refused(
    change: dict[str, Any], told: str, ablation_writer: Callable[..., Any]
) -> None:
    first = moved(ablation_writer(measure_settings={"ece": '{"bins":15}', "nll": "{}"}).close(), "first")
    ledger = ablation_writer(seeds=1, **change)
    ledger.close_segment()
    with pytest.raises(ValueError) as error:
        load(first, ledger.run)
    assert told in str(error.value)
    assert str(ledger.run) in str(error.value)


@pytest.mark.parametrize(
    ("how", "told"),
    [({"unpaired": True}, "where unpaired is the same: it is False in "), ({"cluster": "fold"}, "cluster is the same")],
)
def test_foreign_results_that_need_different_tests_are_refused(how: dict[str, Any], told: str, tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{seed},{80 + seed + add}" for seed in range(4) for arm, add in (("baseline", 0), ("kd", 1))]
    (tmp_path / "scores.csv").write_text("\n".join(["arm,seed,fold,acc", *rows]) + "\n")
    with patch.object(write, "_made", return_value=({}, {})):
        for name, options in (("one", {}), ("other", how)):
            write_results(read_csv(tmp_path / "scores.csv", metric="acc", **options), tmp_path / name)
    with pytest.raises(ValueError, match=told):
        load(tmp_path / "one", tmp_path / "other")


def test_a_search_is_not_read_together_with_another_study(ablation: Path, search_writer: Any) -> None:
    first = moved(ablation, "first")
    ledger = search_writer(trials=5)
    with pytest.raises(ValueError, match=r"run: a search of another study than .*first; searches are read"):
        load(first, ledger.close())


def test_one_search_in_two_runs_has_one_leaderboard(search: Path, search_writer: Any) -> None:
    first = moved(search, "first")
    ledger = search_writer(trials=70)
    assert len(load(first, ledger.close()).trials) == 70
    assert len(load(first, ledger.run).leaderboard) > len(load(first).leaderboard)


@pytest.mark.parametrize("factor", ["objective.cktf.theta", "objective.own.bank"])
def test_factors_of_two_types_are_told_as_text(ablation_writer: Callable[..., Any], factor: str) -> None:
    baseline, *levels = [0.1, 0.5, "half"] if factor == "objective.cktf.theta" else [None, 0.5, True]
    runs = []
    for name, level in zip(("one", "other"), levels, strict=True):
        ledger = ablation_writer(arms=["baseline"], seeds=1, factors=[factor])
        ledger.train(ledger.plan(f"level={level}", 0, {factor: level}), 80.0)
        runs.append(moved(ledger.close(), name))
    read = load(*runs).trials[f"param.{factor}"]
    assert read.astype(object).where(read.notna(), None).tolist() == [baseline and str(baseline), *map(str, levels)]


def test_the_facts_of_all_runs_are_told_and_kept(halves: list[Path], tmp_path: Path) -> None:
    both = load(*halves)
    rows = dict(provenance_rows(both))
    assert rows["run"] == "run-1 + run-1 (2)"
    assert rows["launch 2, of run-1 (2)"] == "2023-11-14 22:13 UTC, commit 0123abcd"
    assert rows["ledger"].endswith(", 0 torn lines ignored")
    assert (
        "2 runs were read together: run-1, run-1 (2). A trial that several of them hold, as 15 of these 25 did, is "
        "counted once" in methods_text(both)
    )
    write_results(both, tmp_path / "both")
    again = load(tmp_path / "both")
    assert again.facts == both.facts
    pd.testing.assert_frame_equal(again.effects[STATISTICS], both.effects[STATISTICS])


def test_the_command_wants_a_place_for_the_report_of_several_runs(
    halves: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *map(str, halves)]) == 2
    assert capsys.readouterr().err == "--out is missing: the report of several runs has no place of its own\n"
    assert main(["report", *map(str, halves), "--out", str(tmp_path / "both")]) == 0
    assert "temperature=0.5" in capsys.readouterr().out


def test_one_run_named_twice_is_one_run(ablation: Path) -> None:
    assert len(load(ablation, str(ablation)).trials) == 25


def of_contexts(folder: Path, baselines: list[str], extra: dict[int, dict[str, float]] | None = None) -> Results:
    """Return foreign results read together, each a context with its baseline, ``kd`` and ``at``, and what is extra."""
    places = []
    for number, baseline in enumerate(baselines):
        draws = np.random.default_rng(number)
        effects = {"kd": 2.0 + number, "at": 1.0, **(extra or {}).get(number, {})}
        lines = ["arm,seed,acc"]
        for seed in range(4):
            base = 80 + draws.standard_normal()
            lines.append(f"{baseline},{seed},{base}")
            lines += [f"{arm},{seed},{base + add + 0.2 * draws.standard_normal()}" for arm, add in effects.items()]
        (folder / f"{number}.csv").write_text("\n".join(lines) + "\n")
        places.append(folder / "-".join(["report", *baselines, str(number)]))
        with patch.object(write, "_made", return_value=({}, {})):  # figures and page, of which nothing is read
            write_results(read_csv(folder / f"{number}.csv", metric="acc", baseline=baseline), places[-1])
    return load(*places)


@pytest.mark.parametrize("num_contexts", [2, 6])
def test_baselines_of_different_names_are_one_arm_over_contexts(tmp_path: Path, num_contexts: int) -> None:
    alike = of_contexts(tmp_path, ["none"] * num_contexts)
    named = of_contexts(tmp_path, ["none", *["vanilla"] * (num_contexts - 1)])
    for one, other in ((named.ranks, alike.ranks), (named.over_contexts, alike.over_contexts)):
        pd.testing.assert_frame_equal(one.drop(columns="arm"), other.drop(columns="arm"), check_exact=True)
    assert named.ranks.loc[named.ranks["is_baseline"], "arm"].tolist() == ["none / vanilla"]
    assert named.effects["effect"].tolist() == alike.effects["effect"].tolist()
    assert [row[1:] for row in context_rows(named)] == [row[1:] for row in context_rows(alike)]
    assert [row[0] for row in context_rows(named)] == ["arm", "none / vanilla", "kd", "at"]
    assert main_tables(named)[0].bold == main_tables(alike)[0].bold


@pytest.mark.parametrize("num_contexts", [2, 6])
def test_an_arm_that_is_called_as_the_baseline_of_another_context_is_told_apart(
    tmp_path: Path, num_contexts: int
) -> None:
    others = range(1, num_contexts)
    alike = of_contexts(tmp_path, ["none"] * num_contexts, {number: {"new": 1.5} for number in others})
    named = of_contexts(tmp_path, ["none", *["vanilla"] * len(others)], {number: {"none": 1.5} for number in others})
    pd.testing.assert_frame_equal(named.ranks.drop(columns="arm"), alike.ranks.drop(columns="arm"), check_exact=True)
    ranks = named.ranks.set_index("arm")
    assert ranks.at["none / vanilla", "is_baseline"]
    assert ranks["missing"]["none"].startswith("not planned in ")
    assert write_results(named, tmp_path / "report").figures


def test_a_baseline_s_name_is_free_where_an_arm_has_it() -> None:
    arms = pd.DataFrame(
        [("a0", "none", True), ("a1", "kd", False), ("b0", "none", False)], columns=["arm_id", "arm", "is_baseline"]
    )
    assert shared_names(arms).to_dict() == {"a0": "none (baseline)", "a1": "kd", "b0": "none"}
