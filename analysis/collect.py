"""Ledger -> ``trials.parquet`` and ``epochs.parquet``: typed, flat columns, a row a trial and a row an epoch.

Epoch rows are nearly all of a ledger, so they are told apart by their first bytes and parsed column by column
in compiled code; the few other rows are parsed one at a time, in their order.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet
from pyarrow import fs

from analysis.folder import has_file, open_folder, read, write
from analysis.results import Facts
from cktf.rows import SCHEMA_VERSION, EndRow, EpochRow, PlannedRow, Stage, Status, StudyRow, parse_row

BLOCK_BYTES = 64 * 2**20
"""Of a ledger segment held in memory at a time."""

SEGMENT = re.compile(r"\d{6}\.jsonl")
"""Names of a ledger's segments; other files beside them are nobody's rows."""

EPOCH_PREFIX = b'{"kind":"epoch",'
VERSION_KEY = b"cktf.schema_version"
FACTS_KEY = b"cktf.facts"

ARROW_TYPES = {int: pa.int64(), str: pa.string(), float: pa.float64(), float | None: pa.float64()}
EPOCH_SCHEMA = pa.schema(
    [(f.name, ARROW_TYPES[get_type_hints(EpochRow)[f.name]]) for f in fields(EpochRow) if f.name != "terms"]
)
REQUIRED = [
    f.name
    for f in fields(EpochRow)
    if f.default is MISSING and type(None) not in get_args(get_type_hints(EpochRow)[f.name])
]
"""Columns that every epoch row has, and of which none is null."""

FINAL_METRICS = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "peak_memory_gib",
)
"""Columns of a trial's last epoch that stand in the table of trials too."""


TEACHER_METRICS = ("test_loss", "test_accuracy")
"""What is told of a trial's teacher, as its own training ended; missing where it was loaded from a file."""


@dataclass
class Ledger:
    """The rows of a ledger, the last one of each trial's several planned rows and ends kept.

    Attributes:
        launches: Study rows in order.
        planned: Trial to its planned row, in the order of first planning.
        ends: Trial to its end and the launch it ended in (an index into ``launches``).
        epochs: Tables of epoch rows in order, with one ``term.<name>`` column for each term.
        teachers: Teacher to the result of its training, of those that lie in the run directory.
        torn_lines: Unfinished last lines of segments.
    """

    launches: list[StudyRow] = field(default_factory=list)
    planned: dict[str, PlannedRow] = field(default_factory=dict)
    ends: dict[str, tuple[EndRow, int]] = field(default_factory=dict)
    epochs: list[pa.Table] = field(default_factory=list)
    teachers: dict[str, dict[str, Any]] = field(default_factory=dict)
    torn_lines: int = 0


def collect(run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> tuple[str, str]:
    """Write the two tables of a run and return their places.

    Args:
        run: The run directory, a folder or a URI.
        out: Where the tables go; ``RUN/report`` by default.

    Raises:
        ValueError: If there is no ledger, or a line of it is broken other than by a killed writer.
    """
    place = os.fspath(out) if out is not None else f"{os.fspath(run).rstrip('/')}/report"
    folder = open_folder(place)
    for name, table in zip(("trials", "epochs"), ledger_tables(run), strict=True):
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(table, sink, compression="zstd")
        write(folder, f"{name}.parquet", sink.getvalue().to_pybytes())
    return f"{place}/trials.parquet", f"{place}/epochs.parquet"


def ledger_tables(run: str | os.PathLike[str]) -> tuple[pa.Table, pa.Table]:
    """Return the table of trials and the table of epochs of a run; both carry its `Facts` in their metadata.

    Raises:
        ValueError: If there is no ledger, or a line of it is broken other than by a killed writer.
    """
    folder = open_folder(run)
    segments = ledger_segments(folder)
    ledger = Ledger()
    for segment in segments:
        _read_segment(folder, segment.path, ledger)
    if not ledger.launches:
        raise ValueError(f"{os.fspath(run)}: no study row in ledger/, so this is no run directory")
    for teacher_id in dict.fromkeys(row.teacher_id for row in ledger.planned.values() if row.teacher_id):
        if has_file(folder, name := f"teachers/{teacher_id}.json"):
            ledger.teachers[teacher_id] = json.loads(read(folder, name)).get("result", {})
    facts = Facts(
        launches=ledger.launches,
        study_file=read(folder, "study.yaml").decode() if has_file(folder, "study.yaml") else "",
        torn_lines=ledger.torn_lines,
        ledger=fingerprint(segments),
    )
    trial_ids = sorted(ledger.planned, key=lambda trial_id: ledger.planned[trial_id].number)
    epochs, final = _epochs_table(ledger, trial_ids)
    trials = _trials_table(ledger, trial_ids, epochs.take(final))
    metadata = {VERSION_KEY: str(SCHEMA_VERSION).encode(), FACTS_KEY: facts.to_json().encode()}
    return trials.replace_schema_metadata(metadata), epochs.replace_schema_metadata(metadata)


def ledger_segments(folder: fs.SubTreeFileSystem) -> list[fs.FileInfo]:
    """Return the segments of the ledger of a run directory, in order; none where there is no ledger."""
    infos = folder.get_file_info(fs.FileSelector("ledger", allow_not_found=True))
    segments = [info for info in infos if info.is_file and SEGMENT.fullmatch(info.base_name)]
    return sorted(segments, key=lambda info: str(info.base_name))


def fingerprint(segments: list[fs.FileInfo]) -> str:
    """Return a text that changes when the ledger does; since it only grows, names and sizes tell."""
    text = ",".join(f"{info.base_name}:{info.size}" for info in segments)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_segment(folder: fs.SubTreeFileSystem, name: str, ledger: Ledger) -> None:
    try:
        for block in _whole_lines(folder, name):
            lines = block.split(b"\n")
            # Only what follows the last newline can be torn; complete lines end in an empty piece.
            ledger.torn_lines += bool(lines.pop())
            _read_lines(lines, ledger)
    except ValueError as error:  # pa.ArrowInvalid is one
        raise ValueError(f"{name}: broken ledger line: {error}") from error


def _whole_lines(folder: fs.SubTreeFileSystem, name: str) -> Iterator[bytes]:
    """Yield a file in blocks that end at line ends; only the last block may end elsewhere."""
    rest = b""
    with folder.open_input_stream(name, compression=None) as stream:
        while block := stream.read(BLOCK_BYTES):
            head, newline, tail = block.rpartition(b"\n")
            if newline:
                yield rest + head + newline
                rest = tail
            else:
                rest += tail
    if rest:
        yield rest


def _read_lines(lines: list[bytes], ledger: Ledger) -> None:
    epoch_lines = [line for line in lines if line.startswith(EPOCH_PREFIX)]
    if epoch_lines:
        ledger.epochs.append(_parse_epochs(b"\n".join(epoch_lines)))
    for line in lines:
        if line.startswith(EPOCH_PREFIX):
            continue
        match parse_row(line):
            case StudyRow() as row:
                ledger.launches.append(row)
            case PlannedRow() as row:
                ledger.planned[row.trial_id] = row
                ledger.ends.pop(row.trial_id, None)  # planned again: a failed trial is tried once more
            case EndRow() as row:
                ledger.ends[row.trial_id] = (row, len(ledger.launches) - 1)


def _parse_epochs(lines: bytes) -> pa.Table:
    """Return epoch rows as a table. NaN and Infinity, which Python's json writes, are read as floats."""
    options = pa.json.ParseOptions(explicit_schema=EPOCH_SCHEMA, unexpected_field_behavior="infer")
    table = pa.json.read_json(pa.BufferReader(lines), parse_options=options)
    for name in REQUIRED:
        if name not in table.column_names or table[name].null_count:
            raise ValueError(f"ledger row of kind {EpochRow.kind!r} without {name}")
    columns = {name: table[name] for name in EPOCH_SCHEMA.names}
    terms = table["terms"].combine_chunks()
    for index in range(terms.type.num_fields):
        columns[f"term.{terms.type.field(index).name}"] = terms.field(index).cast(pa.float64())
    return pa.table(columns)


def _epochs_table(ledger: Ledger, trial_ids: list[str]) -> tuple[pa.Table, pa.Array]:
    """Return the last row of every (trial, epoch), sorted, and which row is each trial's last epoch."""
    table = pa.concat_tables([EPOCH_SCHEMA.empty_table(), *ledger.epochs], promote_options="default")
    encoded = table["trial_id"].combine_chunks().dictionary_encode()
    positions = {trial_id: position for position, trial_id in enumerate(trial_ids)}
    names = encoded.dictionary.to_pylist()
    _refuse_unplanned("epochs", names, ledger)
    trial = np.array([positions[name] for name in names], dtype=np.int32)[encoded.indices.to_numpy()]
    epoch = table["epoch"].to_numpy()
    order = np.lexsort((epoch, trial))  # stable, so of equal keys the last written comes last
    trial, epoch = trial[order], epoch[order]
    is_last = np.append((trial[1:] != trial[:-1]) | (epoch[1:] != epoch[:-1]), True)[: len(order)]
    table, trial = table.take(order[is_last]), trial[is_last]
    final = np.full(len(trial_ids), -1)
    final[trial] = np.arange(len(trial))  # of a trial's rows, the last one stays

    planned = [ledger.planned[trial_id] for trial_id in trial_ids]
    study = ledger.launches[-1]
    columns = {
        "study": _repeated([study.study], np.zeros_like(trial)),
        "run": _repeated([study.run], np.zeros_like(trial)),
        "trial_id": _repeated(trial_ids, trial),
        "context": _repeated([row.context for row in planned], trial),
        "arm": _repeated([row.arm for row in planned], trial),
        "arm_id": _repeated([row.arm_id for row in planned], trial),
        "seed": pa.array([row.seed for row in planned], pa.int64()).take(pa.array(trial)),
        "stage": _repeated([row.stage for row in planned], trial),
        "epoch": table["epoch"],
        "phase": table["phase"].combine_chunks().dictionary_encode(),
    }
    terms = sorted(name for name in table.column_names if name.startswith("term."))
    rest = [name for name in EPOCH_SCHEMA.names if name not in columns and name != "time"]
    columns |= {name: table[name] for name in (*rest, *terms)}
    columns["time"] = _timestamps(table["time"].to_numpy())
    return pa.table(columns), pa.array(final, mask=final < 0)


def _refuse_unplanned(what: str, trial_ids: Iterable[str], ledger: Ledger) -> None:
    if unknown := [trial_id for trial_id in trial_ids if trial_id not in ledger.planned]:
        raise ValueError(f"the ledger has {what} of trials it never planned: {', '.join(unknown[:3])}")


def _repeated(values: list[str], indices: np.ndarray[Any, np.dtype[np.int32]]) -> pa.Array:
    """Return ``values[indices]``, each text held once however often it occurs."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(pa.array(indices)), encoded.dictionary)


def _trials_table(ledger: Ledger, trial_ids: list[str], final: pa.Table) -> pa.Table:
    """Return one row a trial; ``final`` has their last epochs, null where there is none."""
    planned = [ledger.planned[trial_id] for trial_id in trial_ids]
    _refuse_unplanned("ends", ledger.ends, ledger)
    ends = [ledger.ends.get(trial_id) for trial_id in trial_ids]
    final_epoch = final["epoch"].to_pylist()
    study = ledger.launches[-1]
    launch = [ledger.launches[end[1]] if end else study for end in ends]

    columns: dict[str, pa.Array] = {
        "study": pa.array([study.study] * len(planned), pa.string()),
        "run": pa.array([study.run] * len(planned), pa.string()),
        "trial_id": pa.array(trial_ids, pa.string()),
        "context": pa.array([row.context for row in planned], pa.string()),
        "arm": pa.array([row.arm for row in planned], pa.string()),
        "arm_id": pa.array([row.arm_id for row in planned], pa.string()),
        "is_baseline": pa.array(
            [row.arm_id == study.baseline_of(row.context) for row in planned], pa.bool_()
        ),
        "seed": pa.array([row.seed for row in planned], pa.int64()),
        "stage": pa.array([row.stage for row in planned], pa.string()),
        "number": pa.array([row.number for row in planned], pa.int64()),
        "status": pa.array(
            [
                end[0].status if end else Status.RUNNING if epoch else Status.PLANNED
                for end, epoch in zip(ends, final_epoch, strict=True)
            ],
            pa.string(),
        ),
        "reason": pa.array([end[0].reason if end else "" for end in ends], pa.string()),
        "epochs": pa.array(
            [end[0].epochs if end else epoch or 0 for end, epoch in zip(ends, final_epoch, strict=True)],
            pa.int64(),
        ),
        **{name: final[name] for name in FINAL_METRICS},
        **{
            f"teacher_{name}": pa.array(
                [ledger.teachers.get(row.teacher_id, {}).get(name) for row in planned], pa.float64()
            )
            for name in TEACHER_METRICS
        },
        "wall_seconds": pa.array([end[0].wall_seconds if end else None for end in ends], pa.float64()),
        "device": pa.array([end[0].device if end else None for end in ends], pa.string()),
        "node": pa.array([end[0].node if end else None for end in ends], pa.string()),
        "git_commit": pa.array([row.git_commit for row in launch], pa.string()),
        "versions": pa.array([json.dumps(row.versions, sort_keys=True) for row in launch], pa.string()),
        "planned_time": _timestamps([row.time for row in planned]),
        "ended_time": _timestamps([end[0].time if end else None for end in ends]),
    }
    configs = [_flat(row.config) for row in planned]
    factors = dict.fromkeys((*study.factors, *(name for row in planned for name in row.params)))
    for factor in factors:
        columns[f"param.{factor}"] = typed_column([_level(row, factor) for row in planned])
    for path in sorted({path for config in configs for path in config}):
        columns[f"config.{path}"] = typed_column([config.get(path) for config in configs])
    return pa.table(columns)


def _level(row: PlannedRow, factor: str) -> Any:
    """Return the level of a factor in a trial: what its arm sets or, in a design, what it leaves as it is.

    A searched trial may well not have a factor (its condition does not hold); its configuration then holds a
    default that means nothing, so it is not looked at.
    """
    if factor in row.params or row.stage == Stage.SEARCH:
        return row.params.get(factor)
    level: Any = row.config
    for key in factor.split("."):
        level = level.get(key) if isinstance(level, dict) else None
    return level


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one level of dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def typed_column(values: list[Any]) -> pa.Array:
    """Return values as an array of the narrowest type that holds them all: bool, int, float or else string.

    In a column of strings, whatever is no string stands as JSON.
    """
    kinds = {type(value) for value in values if value is not None}
    for held, arrow_type in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())):
        if kinds and kinds <= held:
            return pa.array(values, arrow_type)
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(texts, pa.string())


def _timestamps(seconds: Any) -> pa.Array:
    """Return seconds since the epoch as UTC timestamps, to the microsecond; missing ones stay missing."""
    floats = np.array(seconds, dtype=np.float64)
    return (
        pa.array(np.round(floats * 1e6), mask=np.isnan(floats))
        .cast(pa.int64())
        .cast(pa.timestamp("us", tz="UTC"))
    )
