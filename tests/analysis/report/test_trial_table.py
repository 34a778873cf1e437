"""The table of every trial, as the page holds it."""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import load, read_csv
from analysis.report.trial_table import trial_table
from tests.analysis.ledgers import LedgerWriter, study_row


def as_dicts(table: dict[str, Any]) -> list[dict[str, Any]]:
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def test_every_trial_is_there_with_its_status_and_its_reason(search: Path) -> None:
    results = load(search)
    table = trial_table(results)
    rows = as_dicts(table)
    assert [row["number"] for row in rows] == list(range(1, 61))
    assert (rows[5]["status"], rows[5]["reason"], rows[5]["epochs"]) == ("failed", "loss is NaN", 1)
    assert (rows[9]["status"], rows[9]["reason"]) == ("pruned", "below the median")
    assert rows[0]["wall_seconds"] == 2.0
    assert {row["test_accuracy"] for row in rows} == {None}  # a search does not read the test split
    scores = results.trials["validation_accuracy"]
    assert [row["validation_accuracy"] for row in rows] == pytest.approx(scores.tolist(), abs=1e-4)
    titles = {column["name"]: column["title"] for column in table["columns"]}
    assert titles["validation_accuracy"] == "validation accuracy (%)"
    assert titles["wall_seconds"] == "training time (s)"
    assert "context" not in titles


def test_what_json_cannot_hold_is_missing(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    ledger.train(ledger.plan("baseline", 0), float("inf"))
    ledger.plan("baseline", 1)
    table = trial_table(load(ledger.close()))
    finite, planned = as_dicts(json.loads(json.dumps(table, allow_nan=False)))
    assert finite["test_accuracy"] is None
    assert (planned["status"], planned["epochs"], planned["wall_seconds"]) == ("planned", 0, None)


def test_contexts_have_a_column_where_there_are_several(contexts: Path) -> None:
    rows = as_dicts(trial_table(load(contexts)))
    assert [(row["context"], row["arm"]) for row in rows[:5]] == [
        *(("digits", "baseline"), ("digits", "kd"), ("digits", "fsp")),
        *(("clothes", "baseline"), ("clothes", "kd")),
    ]


def test_seeds_of_64_bits_keep_every_digit(tmp_path: Path) -> None:
    seeds = [1234567890123456789, 1234567890123456790]
    (tmp_path / "a.csv").write_text("arm,seed,acc\n" + "".join(f"baseline,{seed},80\n" for seed in seeds))
    rows = as_dicts(trial_table(read_csv(tmp_path / "a.csv")))
    assert [int(row["seed"]) for row in rows] == seeds
