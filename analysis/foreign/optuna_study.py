"""An Optuna study in a storage -> a search or a comparison. Nothing is written into the storage."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.arguments import listed
from analysis.facts import Foreign
from analysis.foreign.named_arms import Found, compared, refuse_questions
from analysis.foreign.table_file import table_of
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of, of_extra
from analysis.results import Results
from analysis.wording import larger_is_better
from cktf.errors import InputError, UserError, naming, shown
from cktf.names import tidy_name
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import optuna

STATUSES = {
    "COMPLETE": Status.COMPLETE,
    "PRUNED": Status.PRUNED,
    "FAIL": Status.FAILED,
    "RUNNING": Status.RUNNING,
    "WAITING": Status.PLANNED,
}
"""State of an Optuna trial -> our status."""

ENQUEUED = "fixed_params"
"""System attribute of Optuna with the params that a trial was enqueued with."""

NO_SEEDS = (
    "The study names no seeds: each of its trials is taken as an arm of its own, and how far scores vary by chance is "
    "unknown."
)

OF_ALL = [
    "Which data the objective was measured on was not seen, nor whether its intermediate values, which are taken as "
    "scores on the way, measure the same thing as its final one.",
    "The time of a trial is that between its start and its end, whatever it did in between.",
]


def read_optuna(
    storage: str | os.PathLike[str],
    *,
    name: str | None = None,
    metric: str | None = None,
    maximise: bool | None = None,
    **asked: Any,
) -> Results:
    """Return an Optuna study as a search; or, if ``seed`` or ``arm`` is named, as a comparison of arms at seeds.

    Params are factors and intermediate values scores on the way; a trial without params has those that it was enqueued
    with. Pruned and failed trials are kept as such; a pruned one has its last intermediate value, after fewer epochs
    than the complete ones.

    Args:
        storage: URL of the storage, as Optuna takes it: ``sqlite:///study.db``; or a file of a database or a journal.
        name: Name of the study; it may be left out if the storage holds only one.
        metric: Score of the trials: the name of an objective (``values_0`` and so on if the study does not name them),
            or a user attribute. None: the only objective.
        maximise: Whether a larger user attribute is better; an objective has the study's direction.
        asked: Further arguments of `analysis.foreign.named_arms.compared`; ``arm``, ``seed`` and ``context`` are params
            or user attributes.

    Raises:
        InputError: If Optuna is missing, the storage cannot be read, holds no such study, or the study has several
            objectives and none is named; and as `compared` raises.
    """
    storage = os.fspath(storage)
    with _readable(storage):
        study = stored_study(storage, name)
        found = study.get_trials(deepcopy=False)
        directions = [direction.name == "MAXIMIZE" for direction in study.directions]
        names = study.metric_names or (["value"] if len(directions) == 1 else [])
    what = f"{without_password(storage)}: study {study.study_name!r}"
    objectives = {name: place for place, name in enumerate(names or (f"values_{n}" for n in range(len(directions))))}
    attributes = dict.fromkeys(key for trial in found for key in trial.user_attrs)
    if metric is None and len(objectives) == 1:
        (metric,) = objectives
    if metric not in {**objectives, **attributes}:
        raise InputError(
            f"{what} has {len(objectives)} objectives; --metric names the one that is reported, or a user attribute: "
            f"{listed([*objectives, *attributes])}"
        )
    objective = objectives.get(metric)
    if objective is None:
        maximise = larger_is_better(metric, maximise)
    elif maximise in (None, directions[objective]):
        maximise = directions[objective]
    else:
        raise InputError(f"{what} {'minimises' if maximise else 'maximises'} {metric}")
    with _readable(storage):
        distributions: dict[str, optuna.distributions.BaseDistribution] = {}
        for trial in found:
            distributions |= {tidy_name(name): domain for name, domain in trial.distributions.items()}
        levels, caveats = levels_of([trial.params or trial.system_attrs.get(ENQUEUED, {}) for trial in found], what)
        caveats += _merged_choices(distributions)
        trials = [
            _trial(
                trial, params, _score(trial, objective, metric, what), has_steps=len(objectives) == 1 and objective == 0
            )
            for trial, params in zip(found, levels, strict=True)
        ]
    origin = f"the Optuna study {study.study_name} in {without_password(storage)}"
    if {"arm", "seed"} & asked.keys():
        texts = [trial.user_attrs | params for trial, params in zip(found, levels, strict=True)]
        of_arms = Found(
            what=what,
            origin=origin,
            name=study.study_name,
            table=table_of(texts, [f"trial {trial.number}" for trial in found]),
            trials=trials,
            caveats=[*OF_ALL, *caveats],
        )
        return compared(of_arms, metric=metric, maximise=maximise, **{"arm": None} | asked)
    refuse_questions(what, asked)
    with _readable(storage):
        return foreign_results(
            trials,
            name=study.study_name,
            metric=metric,
            maximise=maximise,
            stage=Stage.SEARCH,
            foreign=Foreign(origin=origin, cannot_be_vouched_for=[NO_SEEDS, *OF_ALL, *caveats]),
            factors=list(distributions),
            log_factors=[name for name, domain in distributions.items() if getattr(domain, "log", False)],
        )


def _merged_choices(distributions: "dict[str, optuna.distributions.BaseDistribution]") -> list[str]:
    """Return sentences on choices that are equal to Python, like 1 and True, and that Optuna stores as one."""
    caveats = []
    for name, domain in distributions.items():
        choices = list(getattr(domain, "choices", ()))
        merged = [choice for place, choice in enumerate(choices) if choices.index(choice) < place]
        if merged:
            named = ", ".join(f"{choice!r} as {choices[choices.index(choice)]!r}" for choice in merged)
            caveats.append(f"Of {name}, Optuna stores {named}: the trials of these choices cannot be told apart.")
    return caveats


def _score(trial: "optuna.trial.FrozenTrial", objective: int | None, metric: str, what: str) -> float | None:
    """Return the value of an objective, or the number in a user attribute; None where there is none."""
    value = trial.user_attrs.get(metric) if objective is None else (trial.values or {objective: None})[objective]
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    raise InputError(f"{what}: trial {trial.number}: {metric!r} must be a number; got {shown(value)}")


def _trial(
    trial: "optuna.trial.FrozenTrial", params: dict[str, Any], score: float | None, *, has_steps: bool
) -> ForeignTrial:
    """Return a trial with its score or, if it is not complete, its last intermediate value."""
    status = STATUSES[trial.state.name]
    steps = sorted(trial.intermediate_values.items())
    scored = steps if has_steps else []
    reasons = {
        Status.PRUNED: f"pruned after step {steps[-1][0]}" if steps else "pruned before any value",
        Status.FAILED: "failed; the study does not say why",
    }
    return ForeignTrial(
        arm=f"trial {trial.number}: {in_words(params)}",
        arm_id=f"arm-{trial.number}",
        status=status,
        score=score if status == Status.COMPLETE else scored[-1][1] if scored else None,
        reason=reasons.get(status, ""),
        params=params,
        on_the_way=scored,
        wall_seconds=trial.duration.total_seconds() if trial.duration else None,
    )


SQLITE, JOURNAL = "sqlite:///", "journal:///"
"""Prefixes of the URLs of files."""

SQLITE_FILE = b"SQLite format 3\0"
"""First bytes of a database in a file."""

TABLES = {
    *("studies", "study_directions", "trials", "trial_params", "trial_values"),
    *("trial_intermediate_values", "version_info", "alembic_version"),
}
"""Tables that every Optuna storage has; where one is missing, Optuna would create it."""


def stored_study(storage: str, name: str | None) -> "optuna.Study":
    """Return a storage's study of a name, or its only one, without writing; arguments are as in `read_optuna`."""
    with of_extra("train", storage):
        import optuna
        from optuna.storages.journal import JournalFileBackend

    if "://" not in storage:
        with naming(storage), Path(storage).open("rb") as file:
            storage = f"{SQLITE if file.read(len(SQLITE_FILE)) == SQLITE_FILE else JOURNAL}{storage}"
    if storage.startswith(JOURNAL):
        path = storage.removeprefix(JOURNAL)
        if not Path(path).is_file():  # Optuna would create it
            raise InputError(f"{path}: no Optuna storage that can be read: there is no such file")
        opened: optuna.storages.BaseStorage = optuna.storages.JournalStorage(JournalFileBackend(path))
    else:
        opened = _database(storage)
    names = optuna.get_all_study_names(opened)
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        asked = "--study names one of its studies" if name is None else f"there is no study {name!r} (--study)"
        raise InputError(f"{without_password(storage)}: {asked}; there are: {', '.join(names) or 'none'}")
    return optuna.load_study(study_name=name, storage=opened)


def without_password(storage: str) -> str:
    """Return a URL as it may stand in a report: without its password, and without its query, which may hold one."""
    scheme, separator, rest = storage.partition("://")
    if not separator:
        return storage
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place.partition('?')[0]}"


def _database(storage: str) -> "optuna.storages.RDBStorage":
    """Return the Optuna storage in a database, an SQLite file read-only; raise an InputError if it lacks tables."""
    import optuna
    import sqlalchemy

    place, url, options = without_password(storage), sqlalchemy.make_url(storage), dict[str, Any]()
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "")
        if not file.is_file():  # opening it would create it
            raise InputError(f"{place}: there is no file {url.database or 'that it names'}")
        address = f"{file.resolve().as_uri()}?mode=ro"
        options["creator"] = lambda: sqlite3.connect(address, uri=True, check_same_thread=False)
        storage = storage.partition("?")[0]  # the query says how to open it, which is known
    options["poolclass"] = sqlalchemy.pool.NullPool  # no connection is left open
    engine = sqlalchemy.create_engine(storage, **options)
    if missing := sorted(TABLES - {*sqlalchemy.inspect(engine).get_table_names()}):
        raise InputError(f"{place}: no Optuna storage: it lacks the tables {', '.join(missing)}")
    return optuna.storages.RDBStorage(storage, engine_kwargs=options, skip_table_creation=True)


@contextmanager
def _readable(storage: str) -> Iterator[None]:
    """Turn any error of Optuna and its libraries, as of a damaged storage, into an InputError that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a wrong value raises a KeyError, an AssertionError, ...
        reason = type(error).__name__
        if not {*"@?"} & {*storage}:  # else the message may repeat a password
            reason += f": {error}"
        place = without_password(storage)
        raise InputError(f"{place}: no Optuna storage that can be read: {reason}") from None
