"""The folder of a Ray Tune experiment -> a search or a comparison. Read from its files, without Ray."""

import csv
import io
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from pyarrow import fs

from analysis.arguments import listed
from analysis.facts import Foreign
from analysis.foreign.named_arms import Found, compared, refuse_questions
from analysis.foreign.table_file import parsed_json, table_of
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of
from analysis.ledger.columns import flat
from analysis.results import Results
from analysis.statistics.levels import is_logarithmic
from analysis.wording import larger_is_better
from cktf.errors import InputError, naming, shown
from cktf.names import tidy_name
from cktf.row_values import DEEPEST, depth
from cktf.rows import Stage, Status
from cktf.storage import open_folder, read

PARAMS, RESULTS, PROGRESS, ERROR = "params.json", "result.json", "progress.csv", "error.txt"
"""Files of one trial; the results stand in the second or, failing it, in the third."""

ITERATION = "training_iteration"

LENGTHS = {"epoch", "epochs", "iteration", "iterations", "iters", "rounds"}
"""Words of a param's name that may say how long a trial is to be."""

NO_SEEDS = (
    "The folder names no seeds: each trial is taken as an arm of its own, and how far scores vary by chance is "
    "unknown. A trial is scored by its last result, not by its best one."
)

OF_ALL = [
    "The folder does not say why a trial ended: one that ended before the longest one counts as pruned.",
    "Which data the metric was measured on was not seen.",
]


@dataclass(frozen=True)
class _Found:
    """The contents of one trial's files.

    Attributes:
        name: Name of its folder.
        params: Its configuration, flattened.
        results: Flattened results, one for each iteration, in order.
        num_repeated: Number of results left out because their iterations were done again after a restore.
        error: Last line of its error; empty if it has none.
        state: Its state in the experiment's files: ``TERMINATED``, ``ERROR``, ``RUNNING``, ...; empty if unknown.
    """

    name: str
    params: dict[str, Any]
    results: list[dict[str, Any]]
    num_repeated: int
    error: str
    state: str

    @property
    def start(self) -> tuple[float, str]:
        """Key by which trials are ordered: the time of the first result, and the name, which is often numbered."""
        if not self.results:
            return math.inf, self.name
        time = self.results[0].get("timestamp")
        return float(time) if _is_number(time) else 0.0, self.name

    @property
    def done(self) -> int:
        """Its last iteration."""
        return int(self.results[-1][ITERATION]) if self.results else 0


def read_ray_tune(
    folder: str | os.PathLike[str], *, metric: str, maximise: bool | None = None, **asked: Any
) -> Results:
    """Return the trials of a Ray Tune experiment as a search; if ``seed`` or ``arm`` is named, as a comparison.

    Factors are the settings that differ between trials. Each reported result is a score on the way; if an iteration
    was done again after a restore, its later result counts. Failed trials are kept as such. A trial that ended before
    the longest one counts as pruned, unless its last iteration is the value of a param named by a word of `LENGTHS`.

    Args:
        folder: Folder of the experiment, or its URI; the trials' folders lie in it.
        metric: Key of the results that is compared; ``outer/inner`` if nested.
        maximise: Whether a larger metric is better; None: see `analysis.wording.larger_is_better`.
        asked: Further arguments of `analysis.foreign.named_arms.compared`; ``arm``, ``seed`` and ``context`` are keys
            of the trials' configurations.

    Raises:
        InputError: If no trials lie there, or none has the metric, or a file of theirs cannot be read, or it is not
            known which way is better; and as `compared` raises.
    """
    maximise = larger_is_better(metric, maximise)
    place = os.fspath(folder).rstrip("/")
    with naming(place):
        found = sorted(_trials(open_folder(place), place), key=lambda trial: trial.start)
    if not found:
        raise InputError(
            f"{place}: no trial of Ray Tune lies there, which would be a folder with {PARAMS}; name the experiment's "
            "folder, which may be one of its own"
        )
    numbers = {key for trial in found for result in trial.results for key in result if _is_number(result[key])}
    if metric not in numbers:
        raise InputError(
            f"{place}: no result has a number called {metric!r} (--metric); there are: {listed(sorted(numbers))}"
        )
    levels, caveats = levels_of([trial.params for trial in found], place)
    # Settings that differ between trials, or that only some of them have.
    keys = dict.fromkeys(key for trial in levels for key in trial)
    factors = [key for key in keys if len({trial.get(key) for trial in levels}) > 1]
    longest = max(trial.done for trial in found)
    trials = []
    for number, (trial, params) in enumerate(zip(found, levels, strict=True)):
        own = {name: params[name] for name in factors if name in params}
        length = trial.done if any(_is_length(name) and own[name] == trial.done for name in own) else longest
        trials.append(_trial(number, trial, place, metric, length, own))
    log_factors = [name for name in factors if _is_log([trial.get(name) for trial in levels])]
    caveats = [*OF_ALL, *caveats]
    if lengths := [name for name in factors if _is_length(name)]:
        caveats.append(
            f"A trial that ended after as many iterations as {' or '.join(lengths)} says counts as complete."
        )
    if num_repeated := sum(trial.num_repeated for trial in found):
        caveats.append(f"Results left out, since their iterations were done again after a restore: {num_repeated}.")
    origin, name = f"the Ray Tune folder {place}", place.rpartition("/")[2]
    if {"arm", "seed"} & asked.keys():
        of_arms = Found(
            what=place,
            origin=origin,
            name=name,
            table=table_of(levels, [trial.name for trial in found]),
            trials=trials,
            caveats=caveats,
        )
        return compared(of_arms, metric=metric, maximise=maximise, **{"arm": None} | asked)
    refuse_questions(place, asked)
    if log_factors:
        caveats.append(
            f"Nor does it say on which scales factors were searched; by their levels, {', '.join(log_factors)} "
            f"{'is' if len(log_factors) == 1 else 'are'} taken to be logarithmic."
        )
    return foreign_results(
        trials,
        name=name,
        metric=metric,
        maximise=maximise,
        stage=Stage.SEARCH,
        foreign=Foreign(origin=origin, cannot_be_vouched_for=[NO_SEEDS, *caveats]),
        factors=factors,
        log_factors=log_factors,
    )


def _trials(folder: fs.SubTreeFileSystem, place: str) -> list[_Found]:
    infos = folder.get_file_info(fs.FileSelector("", allow_not_found=True))
    states = _states(folder, place, sorted(info.base_name for info in infos if info.is_file))
    found = []
    for name in (info.base_name for info in infos if not info.is_file):
        if (content := _file(folder, place, f"{name}/{PARAMS}")) is None:
            continue
        params = _mapping(f"{place}/{name}/{PARAMS}", content, ".")
        results = _results(f"{place}/{name}/{RESULTS}", _file(folder, place, f"{name}/{RESULTS}") or b"")
        if not results and (table := _file(folder, place, f"{name}/{PROGRESS}")):
            results = _rows(f"{place}/{name}/{PROGRESS}", table)
        # After a restore, iterations are done again: a result replaces earlier ones of the same and later iterations.
        current: list[dict[str, Any]] = []
        for result in results:
            while current and current[-1][ITERATION] >= result[ITERATION]:
                current.pop()
            current.append(result)
        error = (_file(folder, place, f"{name}/{ERROR}") or b"").decode(errors="replace").strip()
        last_line = error.rpartition("\n")[2].strip()
        found.append(_Found(name, params, current, len(results) - len(current), last_line, states.get(name, "")))
    return found


def _file(folder: fs.SubTreeFileSystem, place: str, name: str) -> bytes | None:
    """Return the bytes of a file; None where there is none."""
    kind = folder.get_file_info(name).type
    if kind == fs.FileType.NotFound:
        return None
    if kind != fs.FileType.File:  # reading a pipe would block
        raise InputError(f"{place}/{name}: must be a file")
    with naming(f"{place}/{name}"):
        return read(folder, name)


def _states(folder: fs.SubTreeFileSystem, place: str, files: list[str]) -> dict[str, str]:
    """Return each trial's state in the last snapshot of the experiment, by the name of its folder."""
    snapshots = [name for name in files if name.startswith("experiment_state") and name.endswith(".json")]
    if not snapshots:
        return {}
    file = f"{place}/{snapshots[-1]}"
    trials = _mapping(file, _file(folder, place, snapshots[-1]) or b"").get("trial_data", [])
    try:
        rows = [_mapping(file, state.encode()) for state, *_ in trials]
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{file}: trial_data must hold pairs, each of a trial's state and more: {error}") from error
    return {str(row.get("relative_logdir") or ""): str(row.get("status") or "") for row in rows}


def _results(file: str, content: bytes) -> list[dict[str, Any]]:
    """Return the results in lines of JSON, in their order, each with a whole iteration."""
    lines = content.split(b"\n")
    try:
        parsed_json(lines[-1])
    except (ValueError, RecursionError):
        lines.pop()  # a last line without its end is still being written
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found.append(_mapping(f"{file}, line {number}", line))
        _require_iteration(f"{file}, line {number}", found[-1])
    return found


def _rows(file: str, content: bytes) -> list[dict[str, Any]]:
    """Return the results in a table of comma-separated values, each with a whole iteration."""
    found = []
    for number, row in enumerate(csv.DictReader(io.StringIO(content.decode(errors="replace"))), 1):
        if None in row or None in row.values():
            raise InputError(f"{file}, row {number}: has more or fewer cells than the first line, which names columns")
        found.append({name: _cell(cell) for name, cell in row.items()})
        _require_iteration(f"{file}, row {number}", found[-1])
    return found


def _cell(cell: str) -> float | str | None:
    with suppress(ValueError):
        return float(cell)
    return cell or None


def _require_iteration(where: str, result: dict[str, Any]) -> None:
    iteration = result.get(ITERATION)
    if not (_is_number(iteration) and 0 <= iteration < 2**63 and iteration == int(iteration)):
        raise InputError(f"{where}: {ITERATION} must be a whole number; got {shown(iteration)}")


def _mapping(where: str, content: bytes, separator: str = "/") -> dict[str, Any]:
    """Return an object of JSON in one level, nested keys joined."""
    try:
        found = parsed_json(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is no JSON that can be read: {error}") from error
    if not isinstance(found, dict) or depth(found) > DEEPEST:
        raise InputError(f"{where}: must hold a mapping, nested at most {DEEPEST} deep; got {shown(found)}")
    return flat(found, separator)


def _trial(number: int, found: _Found, place: str, metric: str, asked: int, params: dict[str, Any]) -> ForeignTrial:
    """Return a trial with its levels of the factors, ``params``; ``asked`` is how many iterations it was to do."""
    for result in found.results:
        if result.get(metric) is not None and not _is_number(result[metric]):
            raise InputError(
                f"{place}/{found.name}: {metric} must be a number; {ITERATION} {result[ITERATION]:g} has "
                f"{shown(result[metric])}"
            )
    scored = [result for result in found.results if _is_number(result.get(metric))]
    last = found.results[-1] if found.results else {}
    status, reason = Status.COMPLETE, ""
    if found.state == "ERROR" or (found.error and not found.state):
        status, reason = Status.FAILED, found.error or "failed; the folder does not say why"
    elif found.state not in ("", "TERMINATED"):
        status = Status.RUNNING
    elif scored and found.done < asked:
        status, reason = Status.PRUNED, f"ended after {found.done} of {asked} iterations"
    seconds, node = last.get("time_total_s"), last.get("hostname")
    return ForeignTrial(
        arm=f"trial {tidy_name(str(last.get('trial_id', number)))}: {in_words(params)}",
        arm_id=f"arm-{number}",
        status=status,
        score=float(scored[-1][metric]) if scored else None,
        reason=reason,
        params=params,
        on_the_way=[(int(result[ITERATION]), float(result[metric])) for result in scored],
        wall_seconds=float(seconds) if _is_number(seconds) else None,
        node=tidy_name(node) if isinstance(node, str) else None,
    )


def _is_length(name: str) -> bool:
    """Return whether the name of a param contains a word of `LENGTHS`."""
    return bool(LENGTHS.intersection(name.lower().replace(".", "_").split("_")))


def _is_log(levels: list[Any]) -> bool:
    """Return whether numeric levels are spread as on a logarithmic scale."""
    numbers = [level for level in levels if level is not None]
    return all(map(_is_number, numbers)) and is_logarithmic(np.unique(np.array(numbers, dtype=np.float64)))


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
