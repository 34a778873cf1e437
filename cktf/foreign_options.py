"""Options that describe results of other programs, for both command lines."""

from dataclasses import dataclass, field, fields
from typing import Any

KINDS = ("csv", "wandb", "mlflow", "tensorboard", "optuna", "ray-tune")
"""Kinds of foreign results."""

ALL = " ".join(KINDS)


def _said(kinds: str, metavar: str | None, told: str, default: bool | None = None) -> Any:
    """Return the dataclass field of an option, with the kinds of results that take it, its metavar and its help."""
    help_text = f"{told[0].upper()}{told[1:]}{'' if kinds == ALL else f' ({kinds})'}."
    return field(default=default, metadata={"kinds": kinds.split(), "metavar": metavar, "help": help_text})


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read foreign results: which column is what, and what is compared.

    Results of Optuna and Ray Tune are read as a search, unless ``seed`` or ``arm`` is named.
    """

    study: str | None = _said("optuna mlflow", "NAME", "which study or experiment of the storage")
    metric: str | None = _said(ALL, "NAME", "the column, tag or objective that is compared; default the only one")
    minimise: bool = _said(ALL, None, "a smaller metric is better", default=False)
    maximise: bool = _said(ALL, None, "a larger metric is better", default=False)
    arm: str | None = _said(ALL, "COLUMN", "the arms' names, a column or param; default arm, of a search all params")
    seed: str | None = _said(ALL, "COLUMN", "the seeds, whole numbers; default seed")
    context: str | None = _said(ALL, "COLUMN", "the contexts, where there are several")
    cluster: str | None = _said(ALL, "COLUMN", "folds, data seeds or the like, each of which counts once")
    unpaired: bool = _said(ALL, None, "seeds of one number have nothing in common: Welch's test", default=False)
    names: str | None = _said("wandb mlflow tensorboard", "FORM", "where these are in runs' names: '{arm}-s{seed}'")
    baseline: str | None = _said(ALL, "ARM", "what is compared with; default baseline")
    delta: float | None = _said(ALL, None, "the smallest effect that matters, in the metric's unit")
    contrast: list[str] | None = _said(  # noqa: RUF009, for nothing changes it
        ALL,
        "ARM,ARM",
        "two arms that are compared, in place of all with the baseline; 'baseline' stands for these; may be repeated",
    )
    family: str | None = _said(ALL, "NAME", "study or context: over which comparisons p is adjusted")
    alternative: str | None = _said(ALL, "NAME", "better or worse: only such effects are looked for")
    margin: float | None = _said(ALL, None, "of an alternative: by how much; below 0, what it may lack")
    step: str | None = _said("csv", "COLUMN", "the epoch, where a trial has several rows: its last one scores it")
    best: bool = _said("csv wandb tensorboard ray-tune", None, "a trial is scored by its best value", default=False)
    status: str | None = _said(
        "csv wandb mlflow", "COLUMN", "how a trial ended; default a column status, state or outcome"
    )
    separator: str | None = _said("csv", "SIGN", "what parts the cells: a sign, or tab; default what fits")
    decimal: str | None = _said("csv", "SIGN", "the decimal sign of numbers: a point or a comma")
    encoding: str | None = _said("csv", "NAME", "of the text: utf-8, utf-16, cp1252, latin-1, ...")

    @property
    def given(self) -> list[str]:
        """Names of the options that differ from their defaults."""
        return [option.name for option in fields(self) if getattr(self, option.name) is not option.default]


NOTHING_SAID = Options()

AGAINST = "An afterthought: compare every arm with this one; a report of it, marked, goes to RUN/afterthought."
"""Help of ``--against``, for both command lines."""

TAKES = {kind: tuple(option.name for option in fields(Options) if kind in option.metadata["kinds"]) for kind in KINDS}
"""Kind of foreign results to the options that it takes; it does not need the others."""
