"""The warm start of a search: arms of another run, from which its sampler learns before the first trial."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from cktf.epoch_result import MEASURE
from cktf.errors import InputError, few, visible
from cktf.measures.registry import settings_of
from cktf.plan.state import RunState, TrialState, mean_scores
from cktf.rows import Row, Scalar, StudyRow
from cktf.run.ledger import read_latest
from cktf.storage import Storage
from cktf.study.domains import ChoiceDomain, Domain, IntDomain, choice_label, draw
from cktf.study.paths import differences, overlay, value_at
from cktf.study.spec import StudySpec


def observe(spec: StudySpec) -> dict[str, Any]:
    """Return the observations of a study with ``warm_start``, in the form of `cktf.rows.StudyRow.warm_start`.

    An arm's scores are its means over the trials that have ended; an arm with a pruned or failed trial is left out. An
    arm whose other settings differ from this study's is taken; ``differing`` is path to number of such arms.

    Raises:
        InputError: If there is no such run, it is a smoke run and this study is not, or has another metric.
        UserError: If it cannot be read.
    """
    assert spec.warm_start
    assert spec.search
    run = Storage(spec.warm_start)
    rows = list(read_latest(run))
    state = RunState(spec.columns[0], rows, further=[*spec.directions][1:])
    study = next((row for row in reversed(rows) if isinstance(row, StudyRow)), None)
    _require_like(spec, study, f"{spec.name}: warm_start: {visible(run.root)}")
    arms: dict[str, list[TrialState]] = {}
    for trial in state.trials.values():
        arms.setdefault(trial.planned.arm_id, []).append(trial)
    observations: list[dict[str, Any]] = []
    left_out, differing = Counter[str](), Counter[str]()
    baseline = spec.baseline_config.model_dump(mode="json")
    replicate = {"seed", "teacher.seed"} if spec.teacher_seeds else {"seed"}
    for trials in arms.values():
        scores, config = mean_scores([trial for trial in trials if trial.end]), trials[0].planned.config
        try:
            params = draw(spec.search, baseline, partial(_value, config))
        except InputError as error:
            left_out[str(error)] += 1
            continue
        if scores:
            observations.append({"params": params, "scores": scores})
            found = {path for path, *_ in differences(overlay(baseline, params), config)}
            differing.update(found - replicate)
        else:
            left_out["without a complete trial, or with a pruned or failed one"] += 1
    return {
        "run": spec.warm_start,
        "observations": observations,
        "left_out": dict(left_out),
        "differing": dict(differing),
    }


def observed_in(rows: Iterable[Row]) -> dict[str, Any]:
    """Return the result of `observe` at a run's launch, from its rows; empty before that, or without a warm start."""
    return next((row.warm_start for row in rows if isinstance(row, StudyRow) and row.warm_start), {})


def warm_start_in_words(started: Mapping[str, Any]) -> str:
    """Return how many arms of the other run are observations, what else differs, and how many are left out, and why."""
    count, left_out, differing = len(started["observations"]), started["left_out"], started["differing"]
    other = f", of which some differ from this study in {few([*differing])}" if differing else ""
    out = f"; left out: {', '.join(f'{number} {why}' for why, number in left_out.items())}" if left_out else ""
    return f"warm start: {count} arm{'s' * (count != 1)} of {visible(started['run'])} taken as observations{other}{out}"


def _require_like(spec: StudySpec, study: StudyRow | None, place: str) -> None:
    if study is None:
        raise InputError(f"{place}: there is no run; must be the directory of one")
    if study.is_smoke and not spec.smoke:
        raise InputError(f"{place}: is a smoke run, whose scores say nothing of this study")
    own = settings_of(spec.built_measures)
    for column, larger in spec.directions.items():
        name = column.removeprefix(MEASURE).removeprefix("validation_")
        if study.directions.get(column) != larger or study.measure_settings.get(name) != own.get(name):
            raise InputError(
                f"{place}: must be a run with the metric {column}, measured as here; its metric is "
                f"{', '.join(study.directions)}"
            )


def _value(config: Mapping[str, Any], path: str, domain: Domain) -> Scalar:
    value = value_at(config, path)
    if isinstance(domain, IntDomain) and isinstance(value, float) and value.is_integer():
        value = int(value)  # the setting may be written as a float there
    if domain.problem(value):
        raise InputError(f"with {path} outside of its domain")
    return domain.labels[choice_label(value)] if isinstance(domain, ChoiceDomain) else value
