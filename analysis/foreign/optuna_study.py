"""An Optuna study in a storage -> a search. Nothing is written into the storage."""

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from cktf.errors import InputError, UserError, naming, shown
from cktf.row_values import DEEPEST, LARGEST_INTEGER, depth

if TYPE_CHECKING:
    import optuna
    import sqlalchemy
import os
from typing import TYPE_CHECKING

from analysis.facts import Foreign
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of
from analysis.results import Results
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
    place = without_password(storage)
    study, found = stored_study(storage, name)
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


def stored_study(storage: str, name: str | None) -> "tuple[optuna.Study, list[optuna.trial.FrozenTrial]]":
    """Return a study and its trials.

    Args:
        storage: A URL as Optuna takes it, ``journal:///`` and the path of a journal's file, or the path of either file.
        name: Of the study; None: the only one.

    Raises:
        InputError: If there is no such storage or study, or it cannot be read.
    """
    if storage.startswith(JOURNAL):
        return _in_journal(storage.removeprefix(JOURNAL), name)
    if "://" in storage:
        return _in_database(storage, name)
    if _content(storage, len(SQLITE_FILE)) == SQLITE_FILE:
        return _in_database(f"{SQLITE}{storage}", name)
    return _in_journal(storage, name)


def without_password(storage: str) -> str:
    """Return a URL as it may stand in a report: without its password, and without its query, which may hold one."""
    scheme, separator, rest = storage.partition("://")
    if not separator:
        return storage
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place.partition('?')[0]}"


def _content(path: str, size: int = -1) -> bytes:
    """Return the first bytes of a file, or all of them."""
    with naming(path):
        if not Path(path).is_file():
            hint = f"; a storage is a file, or a URL as Optuna takes it, {SQLITE}study.db"
            raise InputError(f"{path}: no Optuna storage that can be read: there is no such file{hint}")
        with Path(path).open("rb") as file:
            return file.read(size)


def _in_journal(path: str, name: str | None) -> "tuple[optuna.Study, list[optuna.trial.FrozenTrial]]":
    """Return a study out of the file of a journal."""
    import optuna
    from optuna.storages.journal import BaseJournalBackend

    logs = _logs(path)

    class Logs(BaseJournalBackend):
        """The lines of the file, which can only be read."""

        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            yield from logs[log_number_from:]

        def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002  # Optuna's interface wants it
            raise io.UnsupportedOperation("a journal is only read")

    with _readable(path):
        return _chosen(optuna.storages.JournalStorage(Logs()), path, name)


def _logs(path: str) -> list[dict[str, Any]]:
    """Return what the lines of a journal hold; a last one without its end may be torn."""
    lines = _content(path).split(b"\n")
    logs = []
    for number, line in enumerate(lines, 1):
        try:
            log = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise InputError(
                f"{path}, line {number}: no Optuna storage that can be read: neither a database nor a journal's line "
                f"of JSON ({error})"
            ) from error
        if not isinstance(log, dict) or not isinstance(log.get("op_code"), int) or depth(log) > DEEPEST:
            raise InputError(
                f"{path}, line {number}: no Optuna storage that can be read: a line of a journal is a mapping with an "
                f"op_code; got {shown(log)}"
            )
        logs.append(log)
    if not logs:
        raise InputError(f"{path}: no Optuna storage that can be read: it is neither a database nor a journal")
    return logs


def _in_database(storage: str, name: str | None) -> "tuple[optuna.Study, list[optuna.trial.FrozenTrial]]":
    """Return a study out of a database, which is only read."""
    import optuna
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    place = without_password(storage)
    try:
        url = sqlalchemy.make_url(storage)
    except SQLAlchemyError:  # its message repeats the URL
        raise InputError(f"{place}: no Optuna storage that can be read: it is no URL of a database") from None
    options = _read_only(url, place)
    # The query of a file's URL says how to open it, which is known.
    address = storage.partition("?")[0] if options else storage
    with _readable(place, url):
        engine = sqlalchemy.create_engine(address, **options)
        try:
            _require_optunas(engine, place)
        finally:
            engine.dispose()
        opened = optuna.storages.RDBStorage(address, engine_kwargs=options, skip_table_creation=True)
        try:
            return _chosen(opened, place, name)
        finally:
            opened.remove_session()
            opened.engine.dispose()


def _chosen(
    storage: "optuna.storages.BaseStorage", place: str, name: str | None
) -> "tuple[optuna.Study, list[optuna.trial.FrozenTrial]]":
    """Return the study of a name, or the only one, with its trials."""
    import optuna

    names = optuna.get_all_study_names(storage)
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        asked = "--study names one of its studies" if name is None else f"there is no study {name!r} (--study)"
        raise InputError(f"{place}: {asked}; there are: {', '.join(names) or 'none'}")
    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        steps = trial.intermediate_values
        wrong: list[object] = [step for step in steps if not isinstance(step, int) or abs(step) > LARGEST_INTEGER]
        values = (*steps.values(), *(trial.values or ()))
        wrong += [value for value in values if not isinstance(value, int | float)]
        if wrong:
            raise InputError(f"{place}: trial {trial.number}: steps and values are numbers; got {shown(wrong[0])}")
        _ = trial.duration  # two moments of which one has no time zone have no difference
    return study, trials


@contextmanager
def _readable(place: str, url: "sqlalchemy.URL | None" = None) -> Iterator[None]:
    """Let whatever Optuna and its libraries raise at a storage that was changed by hand name the storage."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a wrong value in it is found as a KeyError, an AssertionError, ...
        reason = f"{type(error).__name__}: {error}"
        reason = reason if url is None else _without_secrets(reason, url)
        raise InputError(f"{place}: no Optuna storage that can be read: {reason}") from None


def _read_only(url: "sqlalchemy.URL", place: str) -> dict[str, Any]:
    """Return the options by which SQLAlchemy opens a database and nothing can be written into a file."""
    if url.get_backend_name() != "sqlite":
        return {}
    file = Path(url.database or "")
    if not file.is_file():
        raise InputError(f"{place}: there is no file {url.database or 'that it names'}")  # to open it would make it
    address = f"{file.resolve().as_uri()}?mode=ro"
    return {"creator": lambda: sqlite3.connect(address, uri=True, check_same_thread=False)}


def _require_optunas(engine: "sqlalchemy.Engine", place: str) -> None:
    """Refuse a database of something else, which Optuna would make into one of its own."""
    import sqlalchemy

    found = sqlalchemy.inspect(engine)
    if "studies" not in (tables := set(found.get_table_names())):
        raise InputError(f"{place}: no Optuna storage: it has no table of studies")
    columns = {column["name"] for column in found.get_columns("studies")}
    if missing := [*sorted(TABLES - tables), *sorted({"study_id", "study_name"} - columns)]:
        raise InputError(
            f"{place}: no Optuna storage: it has a table of studies, but none of Optuna's {', '.join(missing)}"
        )
    with engine.connect() as connection:
        for name in ("version_info", "alembic_version"):
            table = sqlalchemy.table(name)
            if not connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)):
                raise InputError(f"{place}: no Optuna storage: its table {name} is empty")


def _without_secrets(text: str, url: "sqlalchemy.URL") -> str:
    """Return a message of a driver without the password and the values of the query, should it repeat them."""
    values = [value for part in url.query.values() for value in (part if isinstance(part, tuple) else (part,))]
    for secret in filter(None, [url.password, *values]):
        for form in (str(secret), quote(str(secret)), quote_plus(str(secret))):
            text = text.replace(form, "***")
    return text
