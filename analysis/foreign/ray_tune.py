"""The folder of a Ray Tune experiment -> a search. Read from its JSON and CSV files, without Ray."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyarrow import fs

from analysis.arguments import check_maximise
from analysis.folder import has_file, open_folder, read
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words
from analysis.levels import is_logarithmic
from analysis.results import Foreign, Results
from cktf.rows import Stage, Status

PARAMS, RESULTS, PROGRESS, ERROR = "params.json", "result.json", "progress.csv", "error.txt"
"""Files of one trial; the results stand in the second or, failing it, in the third."""

ITERATION = "training_iteration"

CANNOT_BE_VOUCHED_FOR = [
    "The folder does not say why a trial ended: one that ended before the longest one counts as pruned.",
    "It names no seeds: each trial is taken as an arm of its own, and how far scores vary by chance is unknown.",
    "Which data the metric was measured on was not seen. A trial is scored by its last result, not by its best one.",
]


@dataclass(frozen=True)
class _Found:
    """What one trial's folder holds.

    Attributes:
        name: Of the folder.
        params: Its configuration, in one level.
        results: In order, each in one level.
        error: Last line of what it failed with; empty where it has not.
        state: What the experiment calls it: ``TERMINATED``, ``ERROR``, ``RUNNING``, ...; empty where it says nothing.
    """

    name: str
    params: dict[str, Any]
    results: list[dict[str, Any]]
    error: str
    state: str

    @property
    def start(self) -> tuple[float, str]:
        """What trials are ordered by: the second of the first result, and the name, which often counts."""
        return float(self.results[0].get("timestamp", 0)) if self.results else math.inf, self.name


def ray_tune(folder: str | os.PathLike[str], *, metric: str, maximise: bool = True) -> Results:
    """Return the trials of a Ray Tune experiment as a search.

    What differs between the trials' configurations are the factors, and each reported result is a score on the way.
    Failed trials are kept as such. A trial that ended before the longest one counts as pruned.

    Args:
        folder: Of the experiment, or its URI; the trials' folders lie in it.
        metric: Key that is compared; of a nested result ``outer/inner``.
        maximise: Whether a larger metric is better.

    Raises:
        ValueError: If no trials lie there, or none has the metric.
    """
    check_maximise(maximise)
    place = os.fspath(folder).rstrip("/")
    found = sorted(_trials(open_folder(place)), key=lambda trial: trial.start)
    if not found:
        raise ValueError(f"{place}: no trial of Ray Tune lies there, which would be a folder with {PARAMS}")
    numbers = {
        key for trial in found for result in trial.results for key in result if _is_number(result[key])
    }
    if metric not in numbers:
        raise ValueError(
            f"{place}: no result has a number called {metric!r} (--metric); there are: "
            f"{', '.join(sorted(numbers)) or 'none'}"
        )
    longest = max(int(trial.results[-1].get(ITERATION, 0)) for trial in found if trial.results)
    factors = _varying([trial.params for trial in found])
    trials = [_trial(number, trial, metric, longest, factors) for number, trial in enumerate(found)]
    log_factors = [name for name in factors if _is_log([trial.params.get(name) for trial in found])]
    told = list(CANNOT_BE_VOUCHED_FOR)
    if log_factors:
        told.append(
            f"Nor does it say on which scales factors were searched; by their levels, {', '.join(log_factors)} "
            f"{'is' if len(log_factors) == 1 else 'are'} taken to be logarithmic."
        )
    foreign = Foreign(origin=f"the Ray Tune folder {place}", cannot_be_vouched_for=told)
    return foreign_results(
        trials,
        name=place.rpartition("/")[2],
        metric=metric,
        maximise=maximise,
        stage=Stage.SEARCH,
        foreign=foreign,
        factors=factors,
        log_factors=log_factors,
    )


def _trials(folder: fs.SubTreeFileSystem) -> list[_Found]:
    infos = folder.get_file_info(fs.FileSelector("", allow_not_found=True))
    states = _states(folder, sorted(info.base_name for info in infos if info.is_file))
    found = []
    for name in (info.base_name for info in infos if not info.is_file):
        if not has_file(folder, f"{name}/{PARAMS}"):
            continue
        params = _flat(json.loads(read(folder, f"{name}/{PARAMS}")), ".")
        error = ""
        if has_file(folder, f"{name}/{ERROR}"):
            lines = read(folder, f"{name}/{ERROR}").decode(errors="replace").split("\n")
            error = next((line.strip() for line in reversed(lines) if line.strip()), "failed without a word")
        found.append(_Found(name, params, _results(folder, name), error, states.get(name, "")))
    return found


def _states(folder: fs.SubTreeFileSystem, files: list[str]) -> dict[str, str]:
    """Return the name of each trial's folder and what the last snapshot of the experiment calls the trial."""
    snapshots = [name for name in files if name.startswith("experiment_state") and name.endswith(".json")]
    if not snapshots:
        return {}
    trials = json.loads(read(folder, snapshots[-1])).get("trial_data", [])
    rows = [json.loads(row) for row, *_ in trials]
    return {row.get("relative_logdir") or "": row["status"] for row in rows}


def _results(folder: fs.SubTreeFileSystem, name: str) -> list[dict[str, Any]]:
    if has_file(folder, f"{name}/{RESULTS}"):
        # A last line without an end is still being written.
        *lines, _ = read(folder, f"{name}/{RESULTS}").split(b"\n")
        if lines:
            return [_flat(json.loads(line), "/") for line in lines]
    if not has_file(folder, f"{name}/{PROGRESS}"):
        return []
    rows = csv.DictReader(io.StringIO(read(folder, f"{name}/{PROGRESS}").decode()))
    return [{key: _parsed(cell) for key, cell in row.items()} for row in rows]


def _trial(number: int, found: _Found, metric: str, longest: int, factors: list[str]) -> ForeignTrial:
    scored = [result for result in found.results if _is_number(result.get(metric))]
    last = found.results[-1] if found.results else {}
    done = int(last.get(ITERATION, 0))
    if found.state == "ERROR" or (found.error and not found.state):
        status, reason = Status.FAILED, found.error or "failed; the folder does not say why"
    elif found.state not in ("", "TERMINATED"):
        status, reason = Status.RUNNING, ""
    elif not scored:
        status, reason = Status.FAILED, f"no result has {metric}"
    elif done < longest:
        status, reason = Status.PRUNED, f"ended after {done} of {longest} iterations"
    else:
        status, reason = Status.COMPLETE, ""
    params = {name: found.params[name] for name in factors if name in found.params}
    # None is a choice like others there; here it would mean that the trial has not this factor.
    params = {name: "None" if level is None else level for name, level in params.items()}
    return ForeignTrial(
        arm=f"trial {last.get('trial_id', number)}: {in_words(params)}",
        arm_id=f"arm-{number}",
        status=status,
        score=float(scored[-1][metric]) if scored else None,
        reason=reason,
        params=params,
        on_the_way=[(int(result[ITERATION]), float(result[metric])) for result in scored],
        wall_seconds=last.get("time_total_s"),
        node=last.get("hostname"),
    )


def _varying(params: list[dict[str, Any]]) -> list[str]:
    """Return the keys whose values differ between trials, or which only some of them have."""
    keys = dict.fromkeys(key for trial in params for key in trial)
    texts = {key: {json.dumps(trial.get(key), sort_keys=True) for trial in params} for key in keys}
    return [key for key in keys if len(texts[key]) > 1]


def _is_log(levels: list[Any]) -> bool:
    """Return whether numeric levels are spread as on a logarithmic scale."""
    numbers = [level for level in levels if level is not None]
    return all(map(_is_number, numbers)) and is_logarithmic(np.unique(np.array(numbers, dtype=np.float64)))


def _flat(values: Mapping[str, Any], separator: str, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one level, keys joined."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, separator, f"{prefix}{key}{separator}")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _parsed(cell: str) -> float | str:
    """Return a cell of a CSV file as a number where it is one."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
