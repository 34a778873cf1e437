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

LIBRARIES = {*EXPORTERS, "sqlalchemy", "requests"}
"""Packages whose errors tell of a place that cannot be written to."""


def export(results: Results, to: str, place: str) -> int:
    """Add a run's missing trials and epochs to a tracker of `EXPORTERS`; return how many were written or extended.

    The run may still be in progress. ``place`` is a file or folder, or a URL that MLflow or Optuna takes.

    Raises:
        InputError: If the tracker's package is missing, the storage at the place cannot take these trials, or they are
            foreign, which lack the times of their epochs.
    """
    if results.facts.foreign:
        raise InputError(f"--to {to}: takes the trials of a run, and these are of {results.facts.foreign.origin}")
    try:
        write: Callable[[Results, str], int] = import_module(f"analysis.exports.{to}").export
        return write(results, place)
    except ImportError as error:
        raise InputError(
            f"--to {to}: needs a package that is not there: pip install 'cktf[trackers]' ({error})"
        ) from error
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in LIBRARIES:
            raise
        said = str(error).partition("\n")[0]
        raise InputError(f"{place}: --to {to} cannot write there: {type(error).__name__}: {said}") from error
