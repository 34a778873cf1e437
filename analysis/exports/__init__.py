"""Export of runs to experiment trackers, by their own packages. Exporting a run twice adds nothing."""

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
"""Name of a tracker, whose module here has a function ``export`` -> file or folder that it writes by default."""


def export(results: Results, to: str, place: str) -> int:
    """Add a run's missing trials and epochs to a tracker of `EXPORTERS`; return how many were written or extended.

    The run may still be in progress. ``place`` is a file or folder, or a URL that MLflow or Optuna takes.

    Raises:
        InputError: If the tracker's package is missing, or the storage at the place cannot take these trials.
    """
    try:
        write: Callable[[Results, str], int] = import_module(f"analysis.exports.{to}").export
        return write(results, place)
    except ImportError as error:
        raise InputError(
            f"--to {to}: needs a package that is not there: pip install 'cktf[trackers]' ({error})"
        ) from error
