"""An Optuna study in a storage -> a search. Nothing is written into the storage."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.facts import Foreign
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of
from analysis.results import Results
from cktf.errors import InputError, UserError, naming
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
"""State of an Optuna trial to what it is called here."""

CANNOT_BE_VOUCHED_FOR = [
    "The study names no seeds: each of its trials is taken as an arm of its own, and how far scores vary by chance is "
    "unknown.",
    "Which data the objective was measured on was not seen, nor whether its intermediate values, which are taken as "
    "scores on the way, measure the same thing as its final one.",
    "The time of a trial is that between its start and its end, whatever it did in between.",
]


def read_optuna(storage: str | os.PathLike[str], *, name: str | None = None) -> Results:
    """Return an Optuna study as a search.

    Params are factors and intermediate values scores on the way. Pruned and failed trials are kept as such; a pruned
    one has its last intermediate value, after fewer epochs than the complete ones.

    Args:
        storage: URL of the storage, as Optuna takes it: ``sqlite:///study.db``; or a file of a database or a journal.
        name: Of the study; it may be left out where the storage holds one alone.

    Raises:
        InputError: If the storage cannot be read, holds no such study, or the study has several objectives.
    """
    storage = os.fspath(storage)
    with _readable(storage):
        return _results(storage, name)


def _results(storage: str, name: str | None) -> Results:
    place = without_password(storage)
    study = stored_study(storage, name)
    found = study.get_trials(deepcopy=False)
    if len(study.directions) != 1:
        count = len(study.directions) or "no"
        raise InputError(f"{place}: study {study.study_name!r} has {count} objectives; a report reads one")
    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for trial in found:
        distributions |= {tidy_name(name): domain for name, domain in trial.distributions.items()}
    levels, caveats = levels_of([trial.params for trial in found], f"{place}, study {study.study_name}")
    foreign = Foreign(
        origin=f"the Optuna study {study.study_name} in {place}",
        cannot_be_vouched_for=[*CANNOT_BE_VOUCHED_FOR, *caveats, *_merged_choices(distributions)],
    )
    return foreign_results(
        [_trial(trial, params) for trial, params in zip(found, levels, strict=True)],
        name=study.study_name,
        metric=study.metric_names[0] if study.metric_names else "value",
        maximise=study.direction.name == "MAXIMIZE",
        stage=Stage.SEARCH,
        foreign=foreign,
        factors=list(distributions),
        log_factors=[name for name, domain in distributions.items() if getattr(domain, "log", False)],
    )


def _merged_choices(distributions: "dict[str, optuna.distributions.BaseDistribution]") -> list[str]:
    """Return sentences on choices that are equal to Python, like 1 and True, and that Optuna stores as one."""
    told = []
    for name, domain in distributions.items():
        choices = list(getattr(domain, "choices", ()))
        merged = [choice for place, choice in enumerate(choices) if choices.index(choice) < place]
        if merged:
            named = ", ".join(f"{choice!r} as {choices[choices.index(choice)]!r}" for choice in merged)
            told.append(f"Of {name}, Optuna stores {named}: the trials of these choices cannot be told apart.")
    return told


def _trial(trial: "optuna.trial.FrozenTrial", params: dict[str, Any]) -> ForeignTrial:
    status = STATUSES[trial.state.name]
    steps = sorted(trial.intermediate_values.items())
    score = steps[-1][1] if steps else None
    reasons = {
        Status.PRUNED: f"pruned after step {steps[-1][0]}" if steps else "pruned before any value",
        Status.FAILED: "failed; the study does not say why",
    }
    return ForeignTrial(
        arm=f"trial {trial.number}: {in_words(params)}",
        arm_id=f"arm-{trial.number}",
        status=status,
        score=trial.value if status == Status.COMPLETE else score,
        reason=reasons.get(status, ""),
        params=params,
        on_the_way=steps,
        wall_seconds=trial.duration.total_seconds() if trial.duration else None,
    )


SQLITE, JOURNAL = "sqlite:///", "journal:///"
"""What the URL of a file begins with."""

SQLITE_FILE = b"SQLite format 3\0"
"""First bytes of a database in a file."""

TABLES = {
    *("studies", "study_directions", "trials", "trial_params", "trial_values"),
    *("trial_intermediate_values", "version_info", "alembic_version"),
}
"""Those that an Optuna storage has, and others beside them; one that lacks any would be given it by Optuna."""


def stored_study(storage: str, name: str | None) -> "optuna.Study":
    """Return a study out of a storage, which is only read.

    Args:
        storage: A URL as Optuna takes it, ``journal:///`` and the path of a journal's file, or the path of either file.
        name: Of the study; None: the only one.

    Raises:
        InputError: If there is no such storage or study.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if "://" not in storage:
        with naming(storage), Path(storage).open("rb") as file:
            storage = f"{SQLITE if file.read(len(SQLITE_FILE)) == SQLITE_FILE else JOURNAL}{storage}"
    if storage.startswith(JOURNAL):
        path = storage.removeprefix(JOURNAL)
        if not Path(path).is_file():  # which Optuna would make
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
    """Return an opened database of Optuna's, a file so that nothing can be written into it; others are refused."""
    import optuna
    import sqlalchemy

    place, url, options = without_password(storage), sqlalchemy.make_url(storage), dict[str, Any]()
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "")
        if not file.is_file():  # to open it would make it
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
    """Let whatever Optuna and its libraries raise at a storage that was changed by hand name the storage."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a wrong value in it is found as a KeyError, an AssertionError, ...
        reason = type(error).__name__
        if not {*"@?"} & {*storage}:  # else the message may repeat a password
            reason += f": {error}"
        place = without_password(storage)
        raise InputError(f"{place}: no Optuna storage that can be read: {reason}") from None
