"""Export to an Optuna study, for its dashboard and its tools: each trial that has ended becomes a trial there."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from analysis.exports.trials import Tracked, tracked
from analysis.ledger.columns import level_text
from analysis.results import Results
from cktf.errors import InputError
from cktf.rows import Status

if TYPE_CHECKING:
    import optuna

ELSEWHERE = "name another place, or delete it there"
"""Advice where the storage has what cannot be changed."""


def export(results: Results, place: str) -> int:
    """Add the ended trials to an Optuna storage, a URL or a file of SQLite; return how many were new.

    A failed trial that was run again is there twice, since Optuna never changes a trial that has ended.

    Raises:
        InputError: If the storage has this study with other directions or levels, or with another result of a trial
            that was withdrawn since.
    """
    import optuna
    from optuna.study import StudyDirection

    if "://" not in place:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    asked = results.facts.study
    directions = [
        StudyDirection.MAXIMIZE if larger else StudyDirection.MINIMIZE for larger in asked.directions.values()
    ]
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=place if "://" in place else f"sqlite:///{place}",
            study_name=asked.study,
            directions=directions,
            load_if_exists=True,
        )
    finally:
        optuna.logging.set_verbosity(level)
    if study.directions != directions:
        raise InputError(f"{place}: has this study with other directions; {ELSEWHERE}")
    ended, domains = {each.trial_id: each for each in tracked(results) if each.ended is not None}, _domains(results)
    known = set()
    for there in study.get_trials(deepcopy=False):
        trial_id = str(there.user_attrs.get("trial_id"))
        known.add((trial_id, there.user_attrs.get("status")))
        now = ended.get(trial_id)
        if there.values and now and _frozen(now, domains, asked.directions).values != there.values:
            raise InputError(f"{place}: has a result of trial {trial_id} that was withdrawn since; {ELSEWHERE}")
    new = [each for each in ended.values() if (each.trial_id, each.status) not in known]
    for trial in new:
        try:
            study.add_trial(_frozen(trial, domains, asked.directions))
        except ValueError as error:
            raise InputError(f"{place}: has this study with other levels; {ELSEWHERE}: {error}") from error
    return len(new)


def _frozen(trial: Tracked, domains: dict[str, Any], metrics: Iterable[str]) -> "optuna.trial.FrozenTrial":
    from optuna.trial import TrialState, create_trial

    curves = [trial.curves.get(metric, []) for metric in metrics]
    states = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}
    state = states[Status(trial.status)] if all(curves) else TrialState.FAIL
    levels = {name: _in_domain(value, domains[name]) for name, value in trial.settings.items() if name in domains}
    params = {name: value for name, value in levels.items() if _holds(domains[name], value)}
    named: dict[str, Any] = {
        name: trial.settings[name] for name in ("arm", "context", "seed") if name in trial.settings
    }
    last = {name: points[-1][1] for name, points in trial.curves.items()}
    made = create_trial(
        state=state,
        values=[curve[-1][1] for curve in curves] if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: domains[name] for name in params},
        intermediate_values={step: value for step, value, _ in curves[0]},
        user_attrs={"trial_id": trial.trial_id, **named, **trial.about, **last},
    )
    made.datetime_start = datetime.fromtimestamp(trial.began)  # Optuna's are in local time
    made.datetime_complete = datetime.fromtimestamp(trial.ended or trial.began)
    return made


def _domains(results: Results) -> "dict[str, optuna.distributions.BaseDistribution]":
    """Return the distribution of each factor: the range or choices of a search, or what a design's levels span."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    asked = results.facts.study
    search = (yaml.safe_load(results.facts.study_file) or {}).get("search") or {}
    found: dict[str, Any] = {}
    for factor in asked.factors:
        domain = search.get(factor)
        domain = domain if isinstance(domain, dict) else {}
        choices, bounds = domain.get("choice", []), domain.get("float") or domain.get("int") or []
        planned = results.trials.get(f"param.{factor}", pd.Series(dtype=float)).dropna().tolist()
        is_log = factor in asked.log_factors
        levels = [level for level in planned if isinstance(level, str) or level > 0] if is_log else planned
        values = [_plain(value) for value in choices or [*bounds, *levels]]
        if not values:
            continue
        if choices or any(isinstance(value, bool | str) for value in values):
            found[factor] = CategoricalDistribution(list(dict.fromkeys(values)))
        elif all(isinstance(value, int) for value in values):
            found[factor] = IntDistribution(min(values), max(values), log=is_log)
        else:
            found[factor] = FloatDistribution(min(values), max(values), log=is_log)
    return found


def _holds(domain: Any, value: Any) -> bool:
    """Return whether a level is in a distribution; the baseline may have one that was not searched or has no log."""
    choices = getattr(domain, "choices", None)
    return bool(domain.low <= value <= domain.high if choices is None else value in choices)


def _in_domain(value: Any, domain: "optuna.distributions.BaseDistribution") -> Any:
    """Return a level as Optuna takes it; of choices of several kinds, which are texts in the table, the choice."""
    choices = getattr(domain, "choices", ())
    return next((choice for choice in choices if level_text(choice) == value), _plain(value))


def _plain(value: Any) -> Any:
    """Return a level as Optuna takes it: a truth value, number or text as it is, anything else as JSON."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value, default=str)
