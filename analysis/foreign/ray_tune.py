"""The folder of a Ray Tune experiment -> a search. Read from its JSON and CSV files, without Ray."""

import csv
import io
import math
import os
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from pyarrow import fs

from analysis.facts import Foreign
from analysis.foreign.table_file import parsed_json
from analysis.foreign.trials import ForeignTrial, foreign_results, in_words, levels_of
from analysis.ledger.columns import flat
from analysis.results import Results
from analysis.statistics import cells
from analysis.statistics.levels import is_logarithmic
from analysis.wording import larger_is_better
from cktf.errors import InputError, naming, shown
from cktf.names import tidy_name
from cktf.row_values import DEEPEST, depth
from cktf.rows import Stage, Status
from cktf.storage import open_folder, read

PARAMS, RESULTS, PROGRESS = "params.json", "result.json", "progress.csv"
"""Files of one trial; the results stand in the second or, failing it, in the third."""

ERRORS = "error.txt", "error.pkl"
"""Files of a trial that failed."""

FAILED_SILENTLY = "failed without a word"
"""Said of a trial whose folder says that it failed, and no more."""

ITERATION = "training_iteration"

LENGTHS = {"epoch", "epochs", "iteration", "iterations", "iters", "rounds"}
"""Words of a param's name that may say how long a trial is to be."""

CANNOT_BE_VOUCHED_FOR = [
    "The folder does not say why a trial ended: one that ended before the longest one counts as pruned.",
    "It names no seeds: each trial is taken as an arm of its own, and how far scores vary by chance is unknown.",
    "Which data the metric was measured on was not seen. A trial is scored by its last result, not by its best one.",
]


@dataclass(frozen=True)
class _Found:
    """What one trial's folder holds."""

    name: str
    params: dict[str, Any]
    results: list[dict[str, Any]]
    """One for each iteration, in order, each in one level."""

    num_repeated: int
    """Results that were left out, for their iterations were done again after a restore."""

    error: str
    """Last line of what it failed with; empty where it has not."""

    state: str
    """What the experiment calls it: ``TERMINATED``, ``ERROR``, ``RUNNING``, ...; empty where it says nothing."""

    @property
    def start(self) -> tuple[float, str]:
        """What trials are ordered by: the second of the first result, and the name, which often counts."""
        if not self.results:
            return math.inf, self.name
        time = self.results[0].get("timestamp")
        return float(time) if _is_number(time) else 0.0, self.name

    @property
    def done(self) -> int:
        """Its last iteration."""
        return int(self.results[-1][ITERATION]) if self.results else 0

    @property
    def status(self) -> Status:
        """How it ended, as far as the folder says; complete, too, where it ended early."""
        if self.state == "ERROR" or (self.error and not self.state):
            return Status.FAILED
        return Status.COMPLETE if self.state in ("", "TERMINATED") else Status.RUNNING


def read_ray_tune(folder: str | os.PathLike[str], *, metric: str, maximise: bool | None = None) -> Results:
    """Return the trials of a Ray Tune experiment as a search.

    What differs between the trials' configurations are the factors, and each reported result is a score on the way;
    of an iteration that was done again after a restore, the later one. Failed trials are kept as such. A trial that
    ended before the longest one counts as pruned, unless a param says how long each trial was to be.

    Args:
        folder: Of the experiment, or its URI; the trials' folders lie in it.
        metric: Key that is compared; of a nested result ``outer/inner``.
        maximise: Whether a larger metric is better; None: it is, unless its name speaks of a loss or the like.

    Raises:
        ValueError: If no trials lie there, or none has the metric, or a file of theirs cannot be read, or it is not
            known which way is better.
    """
    maximise = larger_is_better(metric, maximise)
    place = os.fspath(folder).rstrip("/")
    with naming(place):
        found = sorted(_trials(open_folder(place), place), key=lambda trial: trial.start)
    if not found:
        deeper = open_folder(place).get_file_info(fs.FileSelector("", allow_not_found=True, recursive=True))
        parts = [info.path.split("/") for info in deeper if info.base_name == PARAMS]
        experiments = sorted({names[0] for names in parts if len(names) == 3})
        hint = f"; they lie in its folder {', '.join(experiments)}" if experiments else ""
        raise InputError(f"{place}: no trial of Ray Tune lies there, which would be a folder with {PARAMS}{hint}")
    numbers = {key for trial in found for result in trial.results for key in result if _is_number(result[key])}
    if metric not in numbers:
        raise InputError(
            f"{place}: no result has a number called {metric!r} (--metric); there are: "
            f"{', '.join(sorted(numbers)) or 'none'}"
        )
    levels, caveats = levels_of([trial.params for trial in found], place)
    # What differs between trials, or what only some of them have.
    keys = dict.fromkeys(key for trial in levels for key in trial)
    factors = [key for key in keys if len({trial.get(key) for trial in levels}) > 1]
    length = _length(found, levels, factors)
    longest = max(trial.done for trial in found)
    trials = []
    for number, (trial, params) in enumerate(zip(found, levels, strict=True)):
        own = {name: params[name] for name in factors if name in params}
        level = params.get(length) if length else None
        asked = int(level) if _is_number(level) and math.isfinite(level) else longest
        trials.append(_trial(number, trial, place, metric, asked, own))
    log_factors = [name for name in factors if _is_log([trial.get(name) for trial in levels])]
    told = [*CANNOT_BE_VOUCHED_FOR, *caveats]
    if length:
        told.append(f"A trial that ended after as many iterations as its {length} says counts as complete.")
    if num_repeated := sum(trial.num_repeated for trial in found):
        told.append(f"Results left out, since their iterations were done again after a restore: {num_repeated}.")
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


def _trials(folder: fs.SubTreeFileSystem, place: str) -> list[_Found]:
    infos = folder.get_file_info(fs.FileSelector("", allow_not_found=True))
    states = _states(folder, place, sorted(info.base_name for info in infos if info.is_file))
    found = []
    for name in (info.base_name for info in infos if not info.is_file):
        if (content := _file(folder, place, f"{name}/{PARAMS}")) is None:
            continue
        params = _mapping(f"{place}/{name}/{PARAMS}", content, ".")
        results = _results(folder, place, name)
        # A result takes the place of those that were reported before the restore that it follows.
        current: list[dict[str, Any]] = []
        for result in results:
            while current and current[-1][ITERATION] >= result[ITERATION]:
                current.pop()
            current.append(result)
        num_repeated = len(results) - len(current)
        found.append(_Found(name, params, current, num_repeated, _error(folder, place, name), states.get(name, "")))
    return found


def _file(folder: fs.SubTreeFileSystem, place: str, name: str) -> bytes | None:
    """Return the bytes of a file; None where there is none."""
    kind = folder.get_file_info(name).type
    if kind == fs.FileType.NotFound:
        return None
    if kind != fs.FileType.File:
        raise InputError(
            f"{place}/{name}: must be a file; it is {'a folder' if kind == fs.FileType.Directory else 'none'}"
        )
    with naming(f"{place}/{name}"):
        return read(folder, name)


def _error(folder: fs.SubTreeFileSystem, place: str, name: str) -> str:
    """Return the last line of what a trial failed with; empty where it has not."""
    content, *others = (_file(folder, place, f"{name}/{file}") for file in ERRORS)
    if content is None:
        return FAILED_SILENTLY if any(other is not None for other in others) else ""
    lines = content.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), FAILED_SILENTLY)


def _states(folder: fs.SubTreeFileSystem, place: str, files: list[str]) -> dict[str, str]:
    """Return the name of each trial's folder and what the last snapshot of the experiment calls the trial."""
    snapshots = [name for name in files if name.startswith("experiment_state") and name.endswith(".json")]
    if not snapshots:
        return {}
    file = f"{place}/{snapshots[-1]}"
    trials = _mapping(file, _file(folder, place, snapshots[-1]) or b"").get("trial_data", [])
    states = {}
    for number, pair in enumerate(trials if isinstance(trials, list) else [trials], 1):
        where = f"{file}, trial_data, entry {number}"
        if not (isinstance(pair, list) and pair and isinstance(pair[0], str)):
            raise InputError(f"{where}: is no pair of texts, of which the first is a trial's state; got {shown(pair)}")
        row = _mapping(where, pair[0].encode())
        states[str(row.get("relative_logdir") or "")] = str(row.get("status") or "")
    return states


def _results(folder: fs.SubTreeFileSystem, place: str, name: str) -> list[dict[str, Any]]:
    """Return all results of a trial in the order in which they were written, each with a whole iteration."""
    results: list[tuple[str, dict[str, Any]]] = []
    if content := _file(folder, place, f"{name}/{RESULTS}"):
        results = _lines(f"{place}/{name}/{RESULTS}", content)
    if not results and (content := _file(folder, place, f"{name}/{PROGRESS}")):
        results = _rows(f"{place}/{name}/{PROGRESS}", content)
    for where, result in results:
        iteration = result.get(ITERATION)
        if not (_is_number(iteration) and 0 <= iteration < 2**63 and iteration == int(iteration)):
            got = shown(iteration) if ITERATION in result else "nothing"
            raise InputError(f"{where}: {ITERATION} must be a whole number; got {got}")
    return [result for _, result in results]


def _lines(file: str, content: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the results in lines of JSON, each with its place."""
    *whole, last = content.split(b"\n")
    found = [
        (where := f"{file}, line {number}", _mapping(where, line))
        for number, line in enumerate(whole, 1)
        if line.strip()
    ]
    where = f"{file}, line {len(whole) + 1}"
    try:
        parsed_json(last)
    except (ValueError, RecursionError):
        return found  # a last line without its end is still being written
    return [*found, (where, _mapping(where, last))]


def _rows(file: str, content: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the results in a table of comma-separated values, each with its place."""
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: no table of comma-separated values: {error}") from error
    if not rows:
        return []
    head, *rows = rows
    if ITERATION not in head:
        raise InputError(
            f"{file}: its first line, which names the columns, has no {ITERATION}; it has {shown(', '.join(head))}"
        )
    if rows and len(rows[-1]) < len(head) and not content.endswith(b"\n"):
        rows.pop()  # still being written
    found = []
    for number, row in enumerate(rows, 1):
        if len(row) != len(head):
            raise InputError(f"{file}, row {number}: has {len(row)} cells under {len(head)} columns")
        found.append((f"{file}, row {number}", dict(zip(head, map(_cell, row), strict=True))))
    return found


def _mapping(where: str, content: bytes, separator: str = "/") -> dict[str, Any]:
    """Return an object of JSON in one level, nested keys joined."""
    try:
        found = parsed_json(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is no JSON that can be read: {error}") from error
    if depth(found) > DEEPEST:
        raise InputError(f"{where}: is nested more than {DEEPEST} deep")
    if isinstance(found, dict):
        return flat(found, separator)
    raise InputError(f"{where}: must hold a mapping; got {shown(found)}")


def _length(found: list[_Found], levels: list[dict[str, Any]], factors: list[str]) -> str | None:
    """Return the param that says how many iterations each trial was to do, where there is one.

    It equals the last iteration of every trial that ended; or it is named so, equals that of some, and no trial exceeds
    it.
    """
    ended = [
        (trial.done, params)
        for trial, params in zip(found, levels, strict=True)
        if trial.status == Status.COMPLETE and trial.results
    ]
    for name in factors:
        pairs = [(done, level) for done, params in ended if _is_number(level := params.get(name))]
        if not pairs or len(pairs) < len(ended):
            continue
        is_named = LENGTHS.intersection(name.lower().replace(".", "_").split("_"))
        has_equal = any(done == level for done, level in pairs)
        if all(done == level for done, level in pairs) or (
            is_named and has_equal and all(done <= level and float(level).is_integer() for done, level in pairs)
        ):
            return name
    return None


def _trial(number: int, found: _Found, place: str, metric: str, asked: int, params: dict[str, Any]) -> ForeignTrial:
    """Return a trial, which was to do so many iterations, with its levels of the factors."""
    for result in found.results:
        if result.get(metric) not in (None, "") and not _is_number(result[metric]):
            raise InputError(
                f"{place}/{found.name}: {metric} must be a number; {ITERATION} {result[ITERATION]:g} has "
                f"{shown(result[metric])}"
            )
    scored = [result for result in found.results if _is_number(result.get(metric))]
    last = found.results[-1] if found.results else {}
    status, reason = found.status, ""
    if status == Status.FAILED:
        reason = found.error or "failed; the folder does not say why"
    elif status == Status.COMPLETE and not scored:
        status, reason = Status.FAILED, f"no result has {metric}"
    elif status == Status.COMPLETE and found.done < asked:
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


def _is_log(levels: list[Any]) -> bool:
    """Return whether numeric levels are spread as on a logarithmic scale."""
    numbers = [level for level in levels if level is not None]
    return all(map(_is_number, numbers)) and is_logarithmic(np.unique(np.array(numbers, dtype=np.float64)))


def _cell(cell: str) -> float | str:
    """Return a cell of a CSV file as a number where it is one; an empty one stays empty."""
    number = cells.number(cell) if cell else None
    return cell if number is None else number


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
