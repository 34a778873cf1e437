"""Readers of foreign results -> `Results`: tables, runs of trackers, and searches by other tools."""

from collections.abc import Callable
from importlib import import_module

from analysis.results import Results
from cktf.errors import InputError, shown
from cktf.foreign_options import KINDS, TAKES, Options

READERS = {
    "csv": "csv_file.read_csv",
    "wandb": "wandb_file.read_wandb",
    "mlflow": "mlflow_runs.read_mlflow",
    "tensorboard": "tensorboard_events.read_tensorboard",
    "optuna": "optuna_study.read_optuna",
    "ray-tune": "ray_tune.read_ray_tune",
}
"""Kind to the module in this folder that reads it, and its function."""

ARGUMENTS = {"study": "name", "contrast": "contrasts"}
"""Option -> the name of its argument in Python, if that differs."""

TABLES = (".csv", ".tsv", ".json", ".jsonl")
"""Suffixes of the files that are read as tables if no kind is given."""


def kind_of(place: str) -> str | None:
    """Return ``csv`` for the name of a table's file, and None for any other place."""
    return "csv" if place.lower().endswith(TABLES) else None


def read(kind: str, place: str, options: Options) -> Results:
    """Return foreign results of a kind, a key of `READERS`.

    Raises:
        InputError: If the kind is unknown, an option is not one of its own or is missing, or the results do not have
            what is asked for; the message says what they have.
    """
    if kind not in KINDS:
        raise InputError(f"--from {shown(kind)}: no such kind of results; there are: {', '.join(KINDS)}")
    for name in options.given:
        if name not in TAKES[kind]:
            taken = ", ".join(f"--{option}" for option in TAKES[kind])
            raise InputError(f"--{name}: results --from {kind} do not take it; they take {taken}")
    if not place.strip():
        raise InputError(f"the place of the results is empty; name the file, folder or storage of --from {kind}")
    given = {ARGUMENTS.get(name, name): getattr(options, name) for name in options.given}
    if kind == "ray-tune" and options.metric is None:
        raise InputError(f"--metric: results --from {kind} do not say which of their numbers is compared")
    if options.minimise and options.maximise:
        raise InputError("--minimise, --maximise: they exclude each other; give one of them")
    if given.pop("minimise", False):
        given["maximise"] = False
    module, _, name = READERS[kind].partition(".")
    reader: Callable[..., Results] = getattr(import_module(f"analysis.foreign.{module}"), name)
    return reader(place, **given)
