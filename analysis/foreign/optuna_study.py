"""An Optuna study in a storage -> a search. Nothing is written into the storage."""

import os
from typing import TYPE_CHECKING, Any

from analysis.facts import Foreign
from analysis.foreign.optuna_storage import stored_study, without_password
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of
from analysis.results import Results
from cktf.errors import InputError
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
