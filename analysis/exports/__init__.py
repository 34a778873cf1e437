"""Runs in the tools that people have: what a tool lacks is added, by its own package, so that twice adds nothing."""

from collections.abc import Callable
from importlib import import_module

from analysis.results import Results
from cktf.errors import InputError

EXPORTERS = {
    "tensorboard": "tensorboard",
    "mlflow": "mlflow.db",
    "wandb": "wandb",
    "optuna": "optuna.db",
}
"""Name of a tool, whose module here has a function ``export``, to the file or folder that it writes by default."""


def export(results: Results, to: str, place: str) -> int:
    """Write what a tool lacks of a run's trials, and return how many of them were written or had something added.

    Args:
        results: Of a run; it may go on.
        to: One of `EXPORTERS`.
        place: A file or folder, as `EXPORTERS` has it; of MLflow and Optuna also a URL that they take.

    Raises:
        InputError: If the tool's package is missing, or what is in the place does not take these trials.
    """
    try:
        write: Callable[[Results, str], int] = import_module(f"analysis.exports.{to}").export
        return write(results, place)
    except ImportError as error:
        raise InputError(
            f"--to {to}: needs a package that is not there: pip install 'cktf[trackers]' ({error})"
        ) from error
