"""Results that were not measured here: an Optuna study, a folder of Ray Tune, a CSV file -> `Results`."""

from dataclasses import dataclass, fields

from analysis.foreign.csv_file import csv_file
from analysis.foreign.optuna_study import optuna_study
from analysis.foreign.ray_tune import ray_tune
from analysis.results import Results
from cktf.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Options:
    """What must be said of foreign results, since they do not say it themselves.

    Attributes:
        study: Name of the study, where a storage holds several.
        metric: Column or key that is compared or was optimised.
        minimise: Whether smaller is better.
        maximise: Whether larger is better.
        arm: Column of the arms' names.
        seed: Column of the seeds.
        context: Column of the contexts.
        baseline: Name of the arm that the others are compared with.
        delta: The smallest effect that matters, in the metric's unit.
        status: Column that says how a trial ended.
    """

    study: str | None = None
    metric: str | None = None
    minimise: bool = False
    maximise: bool = False
    arm: str | None = None
    seed: str | None = None
    context: str | None = None
    baseline: str | None = None
    delta: float | None = None
    status: str | None = None

    @property
    def given(self) -> list[str]:
        """Names of those that were said."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [name for name, value in values.items() if value is not None and value is not False]


NOTHING_SAID = Options()

TAKES = {
    "csv": ("metric", "minimise", "maximise", "arm", "seed", "context", "baseline", "delta", "status"),
    "optuna": ("study",),
    "ray-tune": ("metric", "minimise", "maximise"),
}
"""Kind of foreign results to the options that it reads; the others follow from the results."""


def read(kind: str, place: str, options: Options) -> Results:
    """Return foreign results.

    Args:
        kind: A key of `TAKES`.
        place: A CSV file, the URL of an Optuna storage, or the folder of a Ray Tune experiment.
        options: What is said of them.

    Raises:
        ValueError: If the kind is unknown, an option is not one of its own or is missing, or the results do not have
            what is asked for; the message says what they have.
    """
    if kind not in TAKES:
        raise InputError(f"--from {kind}: no such kind of results; there are: {', '.join(TAKES)}")
    for name in options.given:
        if name not in TAKES[kind]:
            taken = ", ".join(f"--{option}" for option in TAKES[kind])
            raise InputError(f"--{name}: results --from {kind} do not take it; they take {taken}")
    if kind == "optuna":
        return optuna_study(place, name=options.study)
    if options.metric is None:
        raise InputError(f"--metric: results --from {kind} do not say which of their numbers is compared")
    if options.minimise and options.maximise:
        raise InputError("--minimise, --maximise: they exclude each other; give one of them")
    maximise = options.maximise if options.minimise or options.maximise else None
    if kind == "ray-tune":
        return ray_tune(place, metric=options.metric, maximise=maximise)
    return csv_file(
        place,
        metric=options.metric,
        maximise=maximise,
        arm=options.arm or "arm",
        seed=options.seed or "seed",
        context=options.context,
        baseline=options.baseline or "baseline",
        delta=options.delta,
        status=options.status,
    )
