"""An Optuna study in a storage -> a search. Nothing is written into the storage."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of
from analysis.results import Foreign, Results
from cktf.errors import InputError
from cktf.names import tidy_name
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

SQLITE = "sqlite:///"

TABLES = {
    *("studies", "study_directions", "trials", "trial_params", "trial_values"),
    *("trial_intermediate_values", "version_info", "alembic_version"),
}
"""Those that an Optuna storage has, and others beside them; one that lacks any would be given it by Optuna."""

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


def optuna_study(storage: str, *, name: str | None = None) -> Results:
    """Return an Optuna study as a search.

    Params are factors and intermediate values scores on the way. Pruned and failed trials are kept as such; a pruned
    one has its last intermediate value, after fewer epochs than the complete ones.

    Args:
        storage: URL of the storage, as Optuna takes it: ``sqlite:///study.db``.
        name: Of the study; it may be left out where the storage holds one alone.

    Raises:
        ValueError: If the storage cannot be read, holds no such study, or the study has several objectives.
    """
    place = _without_password(storage)
    study, found = _loaded(storage, name)
    if len(study.directions) > 1:
        raise InputError(
            f"{place}: study {study.study_name!r} has {len(study.directions)} objectives; a report reads one"
        )
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
            told.append(
                f"Of {name}, Optuna stores {named}: the trials of these choices cannot be told apart."
            )
    return told


def _loaded(storage: str, name: str | None) -> "tuple[optuna.Study, list[optuna.trial.FrozenTrial]]":
    """Return a study and its trials, from a storage that is only read."""
    import optuna
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    place = _without_password(storage)
    try:
        url = sqlalchemy.make_url(storage)
    except SQLAlchemyError:  # its message repeats the URL
        hint = f"; of a file it is {SQLITE}{place}" if Path(storage).is_file() else ""
        raise InputError(
            f"{place}: no Optuna storage that can be read: it is no URL of a database{hint}"
        ) from None
    options = _read_only(url, place)
    # The query of a file's URL says how to open it, which is known.
    address = storage.partition("?")[0] if options else storage
    try:
        engine = sqlalchemy.create_engine(address, **options)
        try:
            _require_optunas(engine, place)
        finally:
            engine.dispose()
        opened = optuna.storages.RDBStorage(address, engine_kwargs=options, skip_table_creation=True)
        try:
            names = optuna.get_all_study_names(opened)
            if name is None and len(names) == 1:
                name = names[0]
            if name not in names:
                asked = (
                    "--study names one of its studies"
                    if name is None
                    else f"there is no study {name!r} (--study)"
                )
                raise InputError(f"{place}: {asked}; there are: {', '.join(names) or 'none'}")
            study = optuna.load_study(study_name=name, storage=opened)
            return study, study.get_trials(deepcopy=False)
        finally:
            opened.remove_session()
            opened.engine.dispose()
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError) as error:
        reason = _without_secrets(str(error), url)
        raise InputError(f"{place}: no Optuna storage that can be read: {reason}") from None


def _read_only(url: "sqlalchemy.URL", place: str) -> dict[str, Any]:
    """Return the options by which SQLAlchemy opens a database and nothing can be written into a file."""
    if url.get_backend_name() != "sqlite":
        return {}
    file = Path(url.database or "")
    if not file.is_file():
        raise InputError(f"{place}: there is no file {file}")  # to open it would make it
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


def _without_password(storage: str) -> str:
    """Return a URL as it may stand in a report: without its password, and without its query, which may hold one."""
    scheme, separator, rest = storage.partition("://")
    if not separator:
        return storage
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place.partition('?')[0]}"


def _without_secrets(text: str, url: "sqlalchemy.URL") -> str:
    """Return a message of a driver without the password and the values of the query, should it repeat them."""
    values = [
        value for part in url.query.values() for value in (part if isinstance(part, tuple) else (part,))
    ]
    for secret in filter(None, [url.password, *values]):
        for form in (str(secret), quote(str(secret)), quote_plus(str(secret))):
            text = text.replace(form, "***")
    return text
