"""Results from a ledger and from tables alone."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis import collect, load, read_csv, write_results
from analysis.ledger.columns import VERSION_KEY
from cktf.errors import InputError
from cktf.rows import FACTS_KEY


def test_tables_and_ledger_give_the_same_results(ablation: Path) -> None:
    from_ledger = load(ablation)
    assert not (ablation / "report").exists()
    collect(ablation)
    from_tables = load(ablation)
    pd.testing.assert_frame_equal(from_ledger.trials, from_tables.trials)
    pd.testing.assert_frame_equal(from_ledger.epochs, from_tables.epochs)
    assert from_ledger.facts == from_tables.facts


def test_tables_alone_are_enough(ablation: Path, tmp_path: Path) -> None:
    collect(ablation)
    shutil.copytree(ablation / "report", tmp_path / "sent")
    results = load(tmp_path / "sent")
    assert len(results.trials) == 25
    assert results.facts.study.question.startswith("Which parts")
    assert results.facts.study_file.startswith("# Which parts help?")


@pytest.mark.parametrize("name", ["trials.parquet", "epochs.parquet"])
def test_a_damaged_table_is_named_and_not_needed_where_the_ledger_is(ablation: Path, tmp_path: Path, name: str) -> None:
    collect(ablation)
    (ablation / "report" / name).write_bytes(b"no table")
    shutil.copytree(ablation / "report", tmp_path / "sent")
    with pytest.raises(ValueError, match=rf"{tmp_path}/sent: {name} is missing or damaged"):
        load(tmp_path / "sent")
    assert len(load(ablation).trials) == 25


@pytest.mark.parametrize("name", ["trials.parquet", "epochs.parquet"])
def test_either_table_names_its_folder(ablation: Path, name: str) -> None:
    collect(ablation)
    assert len(load(f"{ablation}/report/{name}").epochs) == 100


def test_other_programs_read_the_table_of_epochs(ablation: Path) -> None:
    _, epochs = collect(ablation)
    table = pd.read_parquet(epochs)
    assert len(table) == 100
    assert table["arm"].iloc[[0, -1]].tolist() == load(ablation).epochs["arm"].iloc[[0, -1]].tolist()


def test_tables_older_than_the_ledger_are_not_used(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    collect(ledger.close())
    ledger.plan("later", 0)
    assert "later" in set(load(ledger.close()).trials["arm"])


def test_tables_of_another_schema_version_are_refused(ablation: Path, tmp_path: Path) -> None:
    path, _ = collect(ablation, tmp_path / "old")
    table = pa.parquet.read_table(path)
    metadata = {**table.schema.metadata, VERSION_KEY: b"0"}
    pa.parquet.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(ValueError, match="schema version 0; this code reads"):
        load(tmp_path / "old")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(("trials.parquet", column) for column in ("seed", "status", "validation_accuracy", "test_accuracy")),
        *(("epochs.parquet", column) for column in ("epoch", "validation_accuracy")),
    ],
)
def test_a_table_that_has_lost_a_column_is_refused_where_nothing_else_has_it(
    ablation: Path, tmp_path: Path, name: str, column: str
) -> None:
    collect(ablation, tmp_path / "cut")
    table = pa.parquet.read_table(tmp_path / "cut" / name)
    pa.parquet.write_table(table.drop_columns([column]), tmp_path / "cut" / name)
    with pytest.raises(ValueError, match=rf"cut: {name} lacks columns that it had: {column};"):
        load(tmp_path / "cut")


def test_a_table_that_another_program_has_written_is_refused(ablation: Path, tmp_path: Path) -> None:
    path, _ = collect(ablation, tmp_path / "other")
    pd.read_parquet(path).to_parquet(path)
    with pytest.raises(ValueError, match=r"trials\.parquet lacks the facts of its run"):
        load(tmp_path / "other")


def test_integers_stay_integers_beside_missing_ones(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=1)
    ledger.plan("other", 0, {"objective.kd.negatives": 64})
    column = load(ledger.close()).trials["param.objective.kd.negatives"]
    assert column.dtype == "Int64"
    assert column[1] == 64


def test_a_folder_with_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither ledger"):
        load(tmp_path)


@pytest.mark.parametrize(
    "spelling",
    ["{}/", "{}//", "{}/trials.parquet", "{}/../report", "file://{}", "file://{}/", "link", "report", "./report/"],
)
def test_one_place_in_two_spellings_is_read_once(
    spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report"
    lines = [f"{arm},{seed},{seed + len(arm)}" for arm in ("none", "kd") for seed in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["arm,seed,acc", *lines]))
    write_results(read_csv(tmp_path / "a.csv", metric="acc", baseline="none"), report)
    (tmp_path / "link").symlink_to(report)
    monkeypatch.chdir(tmp_path)
    results = load(report, spelling.format(report))
    assert len(results.trials) == 6
    assert results.contexts == [""]


def test_results_are_equal_to_themselves_alone_and_shown_in_three_lines(contexts: Path) -> None:
    results, again = load(contexts), load(contexts)
    assert results == results
    assert results != again
    assert len({results, again}) == 2
    assert repr(results) == (
        "Results of methods, run run-1, judged by test_accuracy\n"
        "  trials: 20 complete; 5 arms in 2 contexts\n"
        f"  epochs: {len(results.epochs)} rows"
    )


def test_facts_that_were_changed_by_hand_are_refused(ablation: Path, tmp_path: Path) -> None:
    collect(ablation)
    shutil.copytree(ablation / "report", tmp_path / "sent")
    file = tmp_path / "sent" / "trials.parquet"
    table = pa.parquet.read_table(file)
    for key, value, told in (
        (VERSION_KEY, b"x", "schema version x; this code reads"),
        *((FACTS_KEY, text, "the facts in its metadata cannot be read") for text in (b"{", b"[]", b"{}", b"\xff")),
    ):
        pa.parquet.write_table(table.replace_schema_metadata({**table.schema.metadata, key: value}), file)
        with pytest.raises(InputError, match=told):
            load(tmp_path / "sent")


def test_a_ledger_that_was_edited_and_kept_its_size_is_read_again(ablation: Path) -> None:
    collect(ablation)
    before = load(ablation).trials["arm"]
    (file,) = (ablation / "ledger").glob("*.jsonl")
    file.write_text(file.read_text().replace('"arm":"temperature=0.5"', '"arm":"temperature=0.7"'))
    after = load(ablation).trials["arm"]
    assert before.ne(after).sum() == 5
