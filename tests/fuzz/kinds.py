"""Every kind of input that is generated."""

from tests.fuzz.csv_files import csv_files
from tests.fuzz.driver import Kind
from tests.fuzz.ledgers import ledgers
from tests.fuzz.studies import overrides, studies

KINDS: dict[str, Kind] = {
    "studies": studies,
    "overrides": overrides,
    "ledgers": ledgers,
    "csv": csv_files,
}
