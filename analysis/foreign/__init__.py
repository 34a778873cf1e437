"""Results that were not measured here: an Optuna study, a folder of Ray Tune, a CSV file -> `Results`."""

from collections.abc import Callable

from analysis.foreign.csv_file import read_csv
from analysis.foreign.optuna_study import read_optuna
from analysis.foreign.ray_tune import read_ray_tune
from analysis.results import Results
from cktf.errors import InputError, shown
from cktf.foreign_options import TAKES, Options


def read(kind: str, place: str, options: Options) -> Results:
    """Return foreign results of a kind, a key of `TAKES`: a CSV file, an Optuna storage, or a Ray Tune folder.

    Raises:
        InputError: If the kind is unknown, an option is not one of its own or is missing, or the results do not have
            what is asked for; the message says what they have.
    """
    if kind not in TAKES:
        raise InputError(f"--from {shown(kind)}: no such kind of results; there are: {', '.join(TAKES)}")
    for name in options.given:
        if name not in TAKES[kind]:
            taken = ", ".join(f"--{option}" for option in TAKES[kind])
            raise InputError(f"--{name}: results --from {kind} do not take it; they take {taken}")
    if not place.strip():
        raise InputError(f"the place of the results is empty; name the file, folder or storage of --from {kind}")
    given = {name: getattr(options, name) for name in options.given}
    if kind != "optuna" and options.metric is None:
        raise InputError(f"--metric: results --from {kind} do not say which of their numbers is compared")
    if options.minimise and options.maximise:
        raise InputError("--minimise, --maximise: they exclude each other; give one of them")
    if given.pop("minimise", False):
        given["maximise"] = False
    for option, argument in (("study", "name"), ("contrast", "contrasts")):
        if option in given:
            given[argument] = given.pop(option)
    readers: dict[str, Callable[..., Results]] = {"csv": read_csv, "optuna": read_optuna, "ray-tune": read_ray_tune}
    return readers[kind](place, **given)
