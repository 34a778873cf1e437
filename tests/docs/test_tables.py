"""docs/reference/columns.yaml says what every column means that a report's tables have, and no other."""

import csv
import dataclasses
import importlib

import yaml

from analysis.report.write import DERIVED
from cktf.rows import TeacherRow
from scripts.docs_pages import COLUMNS, ROOT

STORED = ROOT / "tests" / "analysis" / "stored_runs" / "tables"
MADE_BY = {
    **{name: f"analysis.statistics.{name}" for name in ("arms", "best", "effects", "interactions", "over_contexts")},
    "shapley": "analysis.statistics.shapley",
    **{name: f"analysis.statistics.{name}" for name in ("over_teachers", "ranks", "health")},
    **{name: f"analysis.searches.{name}" for name in ("confirmed", "importance", "pareto")},
    "path": "analysis.searches.path",
}
"""Table to the module whose COLUMNS it has."""

NOT_STORED = {"test_correct", "measure.*"}
"""Columns that runs have whose students were measured further, or by a newer version than the stored ones."""


def columns_of_real_tables() -> dict[str, set[str]]:
    """Return table to its columns, with ``param.*`` for all that begin so; of those of stored runs and of the code."""
    found = {name: set(importlib.import_module(module).COLUMNS) for name, module in MADE_BY.items()}
    for file in STORED.rglob("*.csv"):
        with file.open(newline="") as stream:
            for column in next(csv.reader(stream)):
                name, dot, _ = column.partition("|")[0].partition(".")
                found.setdefault(file.stem, set()).add(f"{name}.*" if dot else name)
    del found["searched"]  # no file
    of_row = {field.name for field in dataclasses.fields(TeacherRow)} - {"time"}
    found["teachers"] |= of_row
    found["trials"] |= NOT_STORED
    found["epochs"] |= {"measure.*"}
    return found


def test_every_column_has_a_meaning_and_every_meaning_a_column() -> None:
    told = yaml.safe_load(COLUMNS.read_text())
    everywhere = told.pop("everywhere")
    real = columns_of_real_tables()
    assert told.keys() == real.keys() == {"trials", "epochs", *DERIVED} - {"measures"}
    for table, columns in real.items():
        assert columns - everywhere.keys() - told[table].keys() == set(), table
        assert told[table].keys() - columns - {""} == set(), table
    assert everywhere.keys() <= set().union(*real.values())
