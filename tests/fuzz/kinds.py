"""Every kind of input that is generated."""

from tests.fuzz.checkpoints import checkpoints
from tests.fuzz.command_lines import command_lines
from tests.fuzz.csv_files import csv_files
from tests.fuzz.data_files import data_files
from tests.fuzz.driver import Kind
from tests.fuzz.ledgers import ledgers
from tests.fuzz.optuna_storages import optuna_storages
from tests.fuzz.ray_folders import ray_folders
from tests.fuzz.studies import overrides, studies

KINDS: dict[str, Kind] = {
    "studies": studies,
    "overrides": overrides,
    "commands": command_lines,
    "ledgers": ledgers,
    "csv": csv_files,
    "optuna": optuna_storages,
    "ray-tune": ray_folders,
    "checkpoints": checkpoints,
    "data": data_files,
}
