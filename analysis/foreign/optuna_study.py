"""An Optuna study in a storage -> a search. Nothing is written into the storage."""

from pathlib import Path
from typing import TYPE_CHECKING

from analysis.foreign.trials import ForeignTrial, foreign_results, in_words
from analysis.results import Foreign, Results
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import optuna

SQLITE = "sqlite:///"

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
    study, place = _loaded(storage, name), _without_password(storage)
    if len(study.directions) > 1:
        raise ValueError(
            f"{place}: study {study.study_name!r} has {len(study.directions)} objectives; a report reads one"
        )
    found = study.get_trials(deepcopy=False)
    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for trial in found:
        distributions |= trial.distributions
    foreign = Foreign(
        origin=f"the Optuna study {study.study_name} in {place}",
        cannot_be_vouched_for=CANNOT_BE_VOUCHED_FOR,
    )
    return foreign_results(
        [_trial(trial) for trial in found],
        name=study.study_name,
        metric=study.metric_names[0] if study.metric_names else "value",
        maximise=study.direction.name == "MAXIMIZE",
        stage=Stage.SEARCH,
        foreign=foreign,
        factors=list(distributions),
        log_factors=[name for name, domain in distributions.items() if getattr(domain, "log", False)],
    )


def _loaded(storage: str, name: str | None) -> "optuna.Study":
    import optuna
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    file = storage.removeprefix(SQLITE).partition("?")[0]
    if storage.startswith(SQLITE) and not Path(file).is_file():
        raise ValueError(f"{storage}: there is no file {file}")  # to open it would make it
    place = _without_password(storage)
    try:
        engine = sqlalchemy.create_engine(storage)
        is_optunas = sqlalchemy.inspect(engine).has_table("studies")
        engine.dispose()
        if not is_optunas:  # Optuna would make its tables
            raise ValueError(f"{place}: no Optuna storage: it has no table of studies")
        opened = optuna.storages.RDBStorage(storage)
        names = optuna.get_all_study_names(opened)
    except (SQLAlchemyError, ImportError, RuntimeError) as error:
        raise ValueError(f"{place}: no Optuna storage that can be read: {error}") from error
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        asked = (
            "--study names one of its studies" if name is None else f"there is no study {name!r} (--study)"
        )
        raise ValueError(f"{place}: {asked}; there are: {', '.join(names) or 'none'}")
    return optuna.load_study(study_name=name, storage=opened)


def _trial(trial: "optuna.trial.FrozenTrial") -> ForeignTrial:
    status = STATUSES[trial.state.name]
    steps = sorted(trial.intermediate_values.items())
    score = steps[-1][1] if steps else None
    reasons = {
        Status.PRUNED: f"pruned after step {steps[-1][0]}" if steps else "pruned before any value",
        Status.FAILED: "failed; the study does not say why",
    }
    return ForeignTrial(
        arm=f"trial {trial.number}: {in_words(trial.params)}",
        arm_id=f"arm-{trial.number}",
        status=status,
        score=trial.value if status == Status.COMPLETE else score,
        reason=reasons.get(status, ""),
        # None is a choice like others there; here it would mean that the trial has not this factor.
        params={name: "None" if level is None else level for name, level in trial.params.items()},
        on_the_way=steps,
        wall_seconds=trial.duration.total_seconds() if trial.duration else None,
    )


def _without_password(storage: str) -> str:
    """Return a URL as it may stand in a report."""
    scheme, separator, rest = storage.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place}"
