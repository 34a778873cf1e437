"""Sentences and facts of a report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.report.methods import methods_text
from analysis.report.provenance import provenance_rows
from analysis.report.tables import main_tables
from cktf.ledger_lines import parse_row
from cktf.rows import Stage, Status, StudyRow
from tests.analysis.ledgers import LedgerWriter, study_row


def test_the_methods_of_an_ablation_state_its_facts(ablation: Path) -> None:
    text = methods_text(load(ablation))
    for fact in (
        "25 trials, 5 arms × 5 seeds: one factor at a time was changed",
        "25 trials read the test split once, at the last epoch",
        "The test that decides is the paired t test, two-sided",
        "adjusted by Holm's method over 4 comparisons",
        "no arm could be called equivalent",
        "Detectable: the effect that so many seeds tell from 0 with 80% power",
        "judged at 5, 8, 12 and 20 seeds, 13% of studies without any effect err",
    ):
        assert fact in text
    assert "gave no result" not in text
    assert "sign-flip" not in text


def test_trials_without_result_are_counted(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    ledger.train(ledger.plan("theta=0.0", 2), 9.0, epochs=1, status=Status.FAILED, tests=False)
    assert "Of 11 trials, 1 gave no result (1 failed)" in methods_text(load(ledger.close()))


def test_a_search_never_reads_the_test_split(search: Path) -> None:
    text = methods_text(load(search))
    assert "A search over 3 factors ran 60 trials (6 pruned, 3 failed) to maximise validation accuracy" in text
    assert "the test split was not read" in text
    assert "Holm" not in text
    assert "Pruned arms are counted" in text


def test_a_search_that_is_not_at_its_end_says_so(search_writer: Callable[..., Any]) -> None:
    ledger = search_writer(trials=5)
    ledger.plan("later", 0, stage=Stage.SEARCH)
    ledger.train(ledger.plan("now", 0, stage=Stage.SEARCH), 80.0, epochs=1, status=None, tests=False)
    text = methods_text(load(ledger.close()))
    assert "ran 7 trials (0 pruned, 0 failed, 2 unfinished) to maximise" in text


def test_a_search_names_its_sampler_and_pruner(search_writer: Callable[..., Any], tmp_path: Path) -> None:
    ledger = search_writer(trials=5)
    asked = parse_row(ledger.lines[0])
    assert isinstance(asked, StudyRow)
    for sampler, pruner, told in (
        ("tpe", "median", "3 factors, by Optuna's sampler tpe and its pruner median, ran"),
        ("random", "", "3 factors, by Optuna's sampler random, ran"),
    ):
        ledger.lines[0] = replace(asked, sampler=sampler, pruner=pruner).to_json()
        path = tmp_path / sampler / "ledger" / "000001.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{line}\n" for line in ledger.lines))
        assert told in methods_text(load(tmp_path / sampler))


def test_one_seed_has_no_test_and_no_interval_that_could_be_told_of(
    ablation_writer: Callable[..., Any], grid_writer: Callable[..., Any]
) -> None:
    for writer in (ablation_writer, grid_writer):
        results = load(writer(seeds=1).close())
        text = methods_text(results)
        assert "No comparison could be tested, so none is decided" in text
        for told in ("95%", "Holm", "t test", "contrasts", "more seeds"):
            assert told not in text
        assert "No comparison could be tested" in main_tables(results)[0].remark


def test_seeds_are_shared_but_for_what_a_factor_changes(grid: Path) -> None:
    text = methods_text(load(grid))
    assert "the arms are the grid of the factors' levels" in text
    assert "augmentations and negatives, but for what a factor or the context changes" in text


def test_confirmation_reads_it_once(confirmed_search: Path) -> None:
    text = methods_text(load(confirmed_search))
    assert "at seeds that the search had not used: 2 arms × 5 seeds" in text
    assert "10 trials read the test split once" in text
    assert "its p needs no adjustment, for there is one comparison. An arm helps" in text


def test_provenance_names_commit_versions_and_machine(ablation: Path) -> None:
    rows = dict(provenance_rows(load(ablation)))
    assert rows["launch 1"] == "2023-11-14 22:13 UTC, commit 0123abcd"
    assert rows["versions"] == "ray 2.60.0, torch 2.15.0"
    assert rows["machine"] == "a test, 2 cores"
    assert (rows["devices"], rows["nodes"]) == ("cpu", "node-1")


def test_contexts_and_references_are_told(contexts: Path) -> None:
    text = methods_text(load(contexts))
    for fact in (
        "20 trials, 3 arms in 2 contexts × 4 seeds: named arms were compared",
        "between an arm and the baseline of its context at the same seed",
        "over 3 comparisons",
        "Over contexts, an arm's effects are averaged",
        "only if these were drawn from them, and takes no account of the seeds that contexts share.",
        "Reference values are those of Some et al. 2023, Table 1; they were not measured here, and no verdict comes",
    ):
        assert fact in text
    assert dict(provenance_rows(load(contexts)))["reference"] == "Some et al. 2023, Table 1"


def test_seeds_are_counted_for_each_arm_where_they_differ(ledger: LedgerWriter, tmp_path: Path) -> None:
    ledger.add(study_row(design="compare", factors=[]))
    for arm, seeds in (("baseline", 5), ("kd", 5), ("at", 3)):  # a race in which an arm was out at 3 seeds
        for seed in range(seeds):
            ledger.train(ledger.plan(arm, seed), 80.0 + seed)
    race = load(ledger.close())
    assert methods_text(race).startswith("13 trials, 3 arms × 3 to 5 seeds: ")
    runs = [tmp_path / "digits", tmp_path / "clothes"]
    for first, run in enumerate(runs):
        other = LedgerWriter(run)
        other.add(study_row(study=run.name, design="compare", factors=[], baseline_arm_id=f"{run.name}arm-baseline"))
        for arm in ("baseline", "kd"):
            for seed in range(3 * first, 3 * first + 3):
                other.train(other.plan(arm, seed, context=run.name), 80.0 + seed)
        other.close()
    assert "12 trials, 2 arms in 2 contexts × 3 seeds: " in methods_text(load(*runs))


def test_a_race_over_contexts_tells_of_no_verdict_over_them(contexts: Path) -> None:
    found = load(contexts)
    launches = [replace(launch, looks=[2, 4]) for launch in found.facts.launches]
    text = methods_text(replace(found, facts=replace(found.facts, launches=launches)))
    assert "There is no verdict over contexts: no test" in text
    assert "The verdict over contexts is that of a t test" not in text


def test_delta_and_the_test_beside_it_are_told(ablation_writer: Callable[..., Any]) -> None:
    text = methods_text(load(ablation_writer(seeds=6, delta=0.5).close()))
    assert "within ±0.5 percentage points, the smallest effect that matters" in text
    assert "The exact sign-flip test stands beside the t test, for the 4 comparisons with 6 to 20 pairs" in text
    assert "With so many" not in text
    assert "wrong words of both kinds come in at most 5% of studies (Shaffer 1986)" in text
    assert "changed between launches" not in text


def test_a_delta_that_came_late_is_told(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer()
    ledger.add(study_row(delta=0.5), study_row(delta=0.75), study_row(delta=0.75))
    text = methods_text(load(ledger.close()))
    assert "within ±0.75 percentage points" in text
    assert "changed between launches (none, then 0.5, then 0.75): results may have been seen" in text


def test_the_model_of_a_grid_is_told(grid: Path) -> None:
    text = methods_text(load(grid))
    assert "(Type III), by the contrast's values within each seed (Student's t, Hotelling's F)" in text
    assert "over 5 contrasts" in text


def test_what_a_fraction_cannot_tell_apart_is_told(fraction: Path) -> None:
    text = methods_text(load(fraction))
    for fact in (
        "32 trials, 8 arms × 4 seeds: the arms are a fraction of all combinations of two levels of each factor",
        "confounded with interactions of three or more factors, and some of them with one another",
    ):
        assert fact in text


@pytest.mark.parametrize("workers", [1, 2])
def test_the_workers_of_a_trial_are_told(ablation_writer: Callable[..., Any], workers: int) -> None:
    ledger = ablation_writer(workers=workers)
    assert ("Each student was trained by 2 processes" in methods_text(load(ledger.close()))) == (workers == 2)


@pytest.mark.parametrize(
    ("synced", "words"),
    [
        ([False, False], "saw each one's shard alone."),
        ([True, True], "saw the whole batch."),
        ([False, True], "saw each one's shard alone, but the whole batch where sync_batch_norm is true."),
    ],
)
def test_what_batch_norm_saw_is_told_of_several_workers(ledger: LedgerWriter, synced: list[bool], words: str) -> None:
    ledger.add(study_row(workers=2))
    for arm, is_synced in zip(("baseline", "other"), synced, strict=True):
        ledger.train(ledger.plan(arm, 0, sync_batch_norm=is_synced), 90.0)
    assert f"batch-norm {words}" in methods_text(load(ledger.close()))


@pytest.mark.parametrize(("once", "workers"), [(True, 1), (False, 1), (True, 2)])
def test_a_teacher_that_was_read_once_is_told(ablation_writer: Callable[..., Any], once: bool, workers: int) -> None:
    text = methods_text(load(ablation_writer(teacher_once=once, workers=workers).close()))
    told = "shared by the trials; for an arm whose objectives read whole maps it ran on every batch, unrounded."
    assert (told in text) == ("rounded to float16" in text) == (once and workers == 1)


def test_the_settings_of_the_arms_are_those_of_their_configurations(ablation: Path) -> None:
    text = methods_text(load(ablation))
    assert "The baseline's objective: cktf.pairing = last, cktf.temperature = 0.1, cktf.theta = 0.1." in text
    assert "Arm temperature=0.5: cktf.temperature = 0.5. Arm theta=0.0: cktf.theta = 0." in text
    assert "Software: PyTorch 2.15.0." in text


def test_an_objective_that_an_arm_lacks_is_named(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="compare"))
    for arm, objective in (
        ("baseline", {"at": {"weight": 3.0}, "kd": None}),
        ("KD", {"at": None, "kd": {"weight": 0.9}}),
    ):
        ledger.train(ledger.plan(arm, 0, objective=objective), 90.0)
    text = methods_text(load(ledger.close()))
    assert "The baseline's objective: at.weight = 3." in text
    assert "Arm KD: kd.weight = 0.9, without at." in text
