"""Every table that is derived of stored runs is what it was when they were stored.

``python -m tests.analysis.test_stored_runs`` stores the tables anew, for when a table changes on purpose.
"""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.ledger.collect import collect

RUNS = Path(__file__).parent / "stored_runs"
CASES = {
    **{name: [name] for name in ("ablation", "digits_smoke", "grid", "grid_with_failures", "fraction", "search")},
    **{name: [name] for name in ("contexts", "many_contexts")},
    "one_study_of_two_runs": ["ablation", "ablation_more_seeds"],
    "two_studies": ["contexts", "many_contexts"],
}
TABLES = (
    *("trials", "epochs", "arms", "effects", "best", "teachers", "health", "over_contexts", "ranks", "interactions"),
    *("leaderboard", "searched", "confirmed", "importance"),
)
WITH_EPOCHS = ("ablation", "digits_smoke", "search", "contexts")
"""Cases of which the table of epochs is stored too; it is the largest."""

RELATIVE = 1e-9
"""Numbers that differ by less are equal: processors differ in last bits."""


AS_STORED = 20
"""Resamples of importances with which the tables were stored."""


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resample importances as often as for the stored tables."""
    monkeypatch.setattr(importlib.import_module("analysis.searches.importance"), "NUM_RESAMPLES", AS_STORED)


def tables_of(case: str) -> dict[str, pd.DataFrame]:
    """Return name to table of the runs of a case, those that have rows."""
    results = analysis.load(*(RUNS / run for run in CASES[case]))
    found = {name: getattr(results, name) for name in TABLES if name != "epochs" or case in WITH_EPOCHS}
    return {name: table for name, table in found.items() if len(table)}


def with_types(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns are called with their types, and a categorical one is one of texts."""
    texts = {name: "str" for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)}
    table = table.astype(texts)
    return table.set_axis([f"{name}|{table[name].dtype}" for name in table], axis="columns")


def assert_equal(found: pd.DataFrame, path: Path) -> None:
    """Compare a table with a stored one: texts exactly, numbers but for rounding."""
    stored = pd.read_csv(path, dtype=str, keep_default_na=False)
    found = with_types(found)
    assert list(found) == list(stored)
    assert len(found) == len(stored)
    for name in found:
        if str(name).endswith("|float64"):
            numbers = [float(text or "nan") for text in stored[name]]
            np.testing.assert_allclose(found[name], numbers, rtol=RELATIVE, atol=1e-12, err_msg=f"{path.stem}: {name}")
        else:
            texts = ["" if pd.isna(value) else str(value) for value in found[name]]
            assert texts == list(stored[name]), f"{path.stem}: {name}"


@pytest.mark.parametrize("case", CASES)
def test_the_tables_of_a_stored_run_are_what_they_were(case: str) -> None:
    tables = tables_of(case)
    assert {*tables} == {path.stem for path in (RUNS / "tables" / case).glob("*.csv")}
    for name, table in tables.items():
        assert_equal(table, RUNS / "tables" / case / f"{name}.csv")


@pytest.mark.parametrize("run", WITH_EPOCHS)
def test_collected_tables_are_those_of_the_ledger(run: str, tmp_path: Path) -> None:
    collect(RUNS / run, tmp_path)
    results = analysis.load(tmp_path)
    for name in ("trials", "epochs"):
        assert_equal(getattr(results, name), RUNS / "tables" / run / f"{name}.csv")


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    arms = tables_of("ablation")["arms"]
    with_types(arms.assign(mean=arms["mean"] * (1 + 1e-8))).to_csv(tmp_path / "arms.csv", index=False)
    with pytest.raises(AssertionError, match="arms: mean"):
        assert_equal(arms, tmp_path / "arms.csv")


if __name__ == "__main__":
    vars(importlib.import_module("analysis.searches.importance"))["NUM_RESAMPLES"] = AS_STORED
    for case in CASES:
        (RUNS / "tables" / case).mkdir(parents=True, exist_ok=True)
        for name, table in tables_of(case).items():
            with_types(table).to_csv(RUNS / "tables" / case / f"{name}.csv", index=False)
