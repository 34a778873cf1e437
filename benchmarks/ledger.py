"""A ledger of a million epochs: what collecting and reporting it takes, against two other ways to read the same.

Rows are drawn at random and written as a run writes them: 16 trials at a time, epoch by epoch. Two runs are made: a
comparison, of which each arm has 20 seeds, and a search, of which each trial is an arm of its own. Measured are

- ``collect``: the ledger of the comparison to its two Parquet tables;
- the same lines parsed one by one with ``json``, to one data frame, to one Parquet file;
- Ray Tune's own reading of the same trials and epochs from the folders that it would have written
  (`ExperimentAnalysis`, which `ResultGrid` reads through): data frames, no Parquet. By default of a tenth of the
  trials, times ten. Its files hold the same numbers, without what Ray adds to each row itself: the configuration,
  times, names of machines;
- ``collect`` by Ray Data on this machine, Ray's start aside;
- ``write_report`` of either run, from its ledger alone.

Each is run in a process of its own, whose peak memory is told; the first three take turns, and their medians of three
are told. Before, the files are read once, so that the disk has no part in it.

Run ``python benchmarks/ledger.py [--trials 10000] [--epochs 100]``.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cktf.cluster.environment import prepare
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Stage, Status, StudyRow

SEEDS = 20
"""Of each arm of the comparison."""

AT_ONCE = 16
"""Trials that are trained at the same time."""

TEMPERATURE, THETA, PAIRING = (f"objective.cktf.{name}" for name in ("temperature", "theta", "pairing"))
TERMS = ("cross_entropy.logits", "kd.logits", "cktf.stage1", "cktf.stage2", "cktf.stage3", "cktf.penultimate")
CONFIG = {
    "data": {"name": "cifar100", "validation_fraction": 0.1},
    "teacher": {"model": "resnet56", "epochs": 240},
    "student": {"model": "resnet20"},
    "objective": {"cross_entropy": {}, "kd": {}, "cktf": {}},
}


class Measured(NamedTuple):
    """What some work took: seconds, and the peak memory of its process in GB."""

    seconds: float
    gigabytes: float


def study_row(is_search: bool) -> StudyRow:
    """Return what is asked of a run."""
    return StudyRow(
        study="scale",
        run="scale",
        question="How much can be collected?",
        design="search" if is_search else "compare",
        metric="validation_accuracy",
        report_metric="test_accuracy",
        maximise=True,
        baseline_arm_id="arm0",
        factors=[TEMPERATURE, THETA, PAIRING],
        log_factors=[TEMPERATURE],
        versions={"python": platform.python_version()},
    )


def planned_rows(numbers: Iterable[int], num_arms: int, epochs: int, is_search: bool) -> Iterator[PlannedRow]:
    """Yield trials as they are planned, an arm's levels drawn with its number."""
    from cktf.trainer.config import TrialConfig  # with PyTorch, which has no part in what is measured

    config = TrialConfig.model_validate(CONFIG).model_dump(mode="json")
    for number in numbers:
        arm = number if is_search else number % num_arms
        draws = np.random.default_rng(arm)
        params = {
            TEMPERATURE: float(np.exp(draws.uniform(math.log(0.02), 0))),
            THETA: float(draws.uniform()),
            PAIRING: str(draws.choice(["last", "smallest"])),
        }
        is_baseline = arm == 0 and not is_search
        levels = {path.rpartition(".")[2]: level for path, level in params.items()}
        cktf = config["objective"]["cktf"] | ({} if is_baseline else levels)
        seed = 0 if is_search else number // num_arms
        named = ", ".join(f"{name}={level:.3g}" if name != "pairing" else str(level) for name, level in levels.items())
        yield PlannedRow(
            trial_id=f"{number:012x}",
            arm_id=f"arm{arm}",
            arm="baseline" if is_baseline else f"search-{number}" if is_search else named,
            seed=seed,
            stage=Stage.SEARCH if is_search else Stage.DESIGN,
            number=number,
            params={} if is_baseline else params,
            config={**config, "objective": {**config["objective"], "cktf": cktf}, "seed": seed},
            epochs=epochs,
            time=1.8e9 + number,
        )


def write_segment(path: Path, head: Iterable[Row], planned: Iterable[PlannedRow], tests: bool) -> None:
    """Write one segment of a ledger: what is planned, then epochs of trials that are trained side by side.

    Args:
        path: The file.
        head: Rows that come first.
        planned: The trials.
        tests: Whether the last epoch of each reads the test split.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    trials = list(planned)
    draws = np.random.default_rng(len(trials))
    with path.open("w") as file:
        file.writelines(f"{row.to_json()}\n" for row in (*head, *trials))
        for first in range(0, len(trials), AT_ONCE):
            group = trials[first : first + AT_ONCE]
            levels = 60 + 5 * draws.standard_normal(len(group))
            for epoch in range(1, group[0].epochs + 1):
                is_last = tests and epoch == group[0].epochs
                for row, level in zip(group, levels, strict=True):
                    file.write(epoch_line(row.trial_id, epoch, float(level), is_last, draws.random(16).tolist()))
            for row in group:
                end = EndRow(trial_id=row.trial_id, status=Status.COMPLETE, epochs=row.epochs, wall_seconds=9.9)
                file.write(f"{end.to_json()}\n")


def epoch_line(trial_id: str, epoch: int, level: float, is_last: bool, draws: list[float]) -> str:
    """Return the line of one epoch."""
    accuracy = level * (1 - math.exp(-epoch / 20)) + draws[0]
    values = EPOCH | {
        "epoch": epoch,
        "learning_rate": 0.05 * draws[1],
        "train_loss": 4 * draws[2],
        "train_accuracy": accuracy + 5 * draws[3],
        "validation_loss": 2 * draws[4],
        "validation_accuracy": accuracy,
        "test_loss": 2 * draws[5] if is_last else None,
        "test_accuracy": accuracy + draws[6] if is_last else None,
        "epoch_seconds": 5 + draws[7],
        "samples_per_second": 1600 * draws[8],
        "peak_memory_gib": 1 + draws[9],
        "terms": dict(zip(TERMS, draws[10:], strict=True)),
        "trial_id": trial_id,
        "time": 1.8e9 + 1e6 * draws[0],
    }
    return json.dumps(values, separators=(",", ":")) + "\n"


def _an_epoch() -> dict[str, Any]:
    row = EpochRow(
        trial_id="",
        epoch=1,
        phase="train",
        learning_rate=0.1,
        train_loss=1.0,
        train_accuracy=1.0,
        validation_loss=1.0,
        validation_accuracy=1.0,
        epoch_seconds=1.0,
        samples_per_second=1.0,
        peak_memory_gib=1.0,
        terms={},
    )
    values: dict[str, Any] = json.loads(row.to_json())
    return values


EPOCH = _an_epoch()
"""A row of an epoch as it is written, its keys in their order."""


def write_tune_folders(run: Path, folder: Path, share: int) -> None:
    """Write the folders of one in ``share`` of a run's trials as Ray Tune would, with the same numbers."""
    from ray.train._internal.storage import StorageContext
    from ray.tune.experiment import Trial

    results: dict[str, list[str]] = {}
    configs = {}
    with (run / "ledger" / "000001.jsonl").open() as file:
        for line in file:
            row = json.loads(line)
            if row["kind"] == "planned" and row["number"] % share == 0:
                configs[row["trial_id"]] = row["config"]
            elif row["kind"] == "epoch" and row["trial_id"] in configs:
                results.setdefault(row["trial_id"], []).append(line)
    states = []
    for trial_id, lines in results.items():
        storage = StorageContext(folder, "tune", trial_dir_name=trial_id)
        trial = Trial("train", config=configs[trial_id], trial_id=trial_id, stub=True, storage=storage)
        trial.create_placement_group_factory()  # type: ignore[no-untyped-call]
        trial.run_metadata.last_result = json.loads(lines[-1])
        states.append(trial.get_json_state())
        (folder / "tune" / trial_id).mkdir(parents=True)
        (folder / "tune" / trial_id / "result.json").write_text("".join(lines))
    state = {"trial_data": states, "runner_data": {}, "stats": {}}
    (folder / "tune" / "experiment_state-2026.json").write_text(json.dumps(state))


def collect_run(run: Path) -> None:
    """Collect a run as ``cktf report`` does."""
    from analysis.ledger.collect import collect

    collect(run)


def collect_on_ray(run: Path, out: Path) -> float:
    """Collect a run by Ray Data, and return the seconds this takes without Ray's start."""
    prepare(is_local=True)
    from analysis.ledger.collect import collect
    from cktf.cluster.ledger_tables import parsed_on_ray
    from cktf.cluster.machine import Machine
    from cktf.cluster.nodes import connected

    with connected(Machine()):
        started = time.perf_counter()
        collect(run, out, parsed_on_ray)
        return time.perf_counter() - started


def parse_line_by_line(run: Path, out: Path) -> None:
    """Read the epochs as most scripts do."""
    import pandas as pd

    rows = []
    for path in sorted((run / "ledger").glob("*.jsonl")):
        with path.open() as file:
            for line in file:
                row = json.loads(line)
                if row["kind"] == "epoch":
                    terms, health = row.pop("terms"), row.pop("health")
                    row |= {f"term.{name}": value for name, value in terms.items()}
                    rows.append(row | {f"health.{name}": value for name, value in health.items()})
    pd.DataFrame(rows).to_parquet(out)


def load_with_tune(folder: Path) -> float:
    """Read results as `ray.tune.Tuner.restore(...).get_results()` does, and return the seconds without Ray's import."""
    from ray.tune import ExperimentAnalysis

    started = time.perf_counter()
    frames = ExperimentAnalysis(folder / "tune").trial_dataframes
    assert all(len(frame) for frame in frames.values())
    return time.perf_counter() - started


def report(run: Path, out: Path) -> None:
    """Write a report from the ledger alone."""
    from analysis.report.write import write_report

    write_report(run, out)


def measured(work: Callable[[], float | None]) -> Measured:
    """Return what some work takes in a process of its own; the seconds are its own where it returns them."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (work,))


def _measure(work: Callable[[], float | None]) -> Measured:
    started = time.perf_counter()
    own = work()
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])
    return Measured(seconds if own is None else own, peak * 1024 / 1e9)


def megabytes(folder: Path, pattern: str) -> float:
    """Return the size of some files."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / 1e6


def show(what: str, found: Measured, ours: Measured | None = None, note: str = "") -> None:
    """Print one line of the table."""
    ratio = f"{found.seconds / ours.seconds:>6.1f}" if ours else f"{'':>6}"
    print(f"{what:<44} {found.seconds:>8.2f} s {found.gigabytes:>6.2f} GB {ratio}  {note}", flush=True)


def write_runs(folder: Path, trials: int, epochs: int) -> tuple[Path, Path]:
    """Write a comparison and a search of so many trials."""
    for name, is_search in (("comparison", False), ("search", True)):
        planned = planned_rows(range(trials), trials // SEEDS, epochs, is_search)
        segment = folder / name / "ledger" / "000001.jsonl"
        write_segment(segment, [study_row(is_search)], planned, tests=not is_search)
    return folder / "comparison", folder / "search"


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000, help="of each of the two runs; a multiple of 20")
    parser.add_argument("--epochs", type=int, default=100, help="of each trial")
    parser.add_argument("--share", type=int, default=10, help="Ray Tune reads one trial of so many")
    arguments = parser.parse_args()
    trials, epochs = arguments.trials, arguments.epochs
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        comparison, search = write_runs(folder, trials, epochs)
        tune = folder / "results"
        write_tune_folders(comparison, tune, arguments.share)
        lines = sum(1 for _ in (comparison / "ledger" / "000001.jsonl").open("rb"))
        print(f"{trials:,} trials x {epochs} epochs: {lines:,} lines, {megabytes(comparison, '*.jsonl'):,.0f} MB\n")
        print(f"{'':<44} {'time':>10} {'memory':>9} {'ratio':>6}")
        plain_file = folder / "plain.parquet"
        found: dict[str, list[Measured]] = defaultdict(list)
        for _ in range(3):  # in turns
            shutil.rmtree(comparison / "report", ignore_errors=True)
            found["ours"].append(measured(partial(collect_run, comparison)))
            found["plain"].append(measured(partial(parse_line_by_line, comparison, plain_file)))
            found["tune"].append(measured(partial(load_with_tune, tune)))
        ours, plain, of_share = (sorted(rounds)[1] for rounds in found.values())
        show("collect", ours, ours, f"{megabytes(comparison, '*.parquet'):,.0f} MB of Parquet")
        show("line by line to Parquet", plain, ours, f"{megabytes(folder, plain_file.name):,.0f} MB of Parquet")
        scaled = of_share._replace(seconds=of_share.seconds * arguments.share)
        show("Ray Tune's own reading", scaled, ours, f"1/{arguments.share} read; the memory is of this share")
        on_ray = measured(partial(collect_on_ray, comparison, folder / "on_ray"))
        show("collect by Ray Data", on_ray, ours, "the memory is the driver's")
        for run in (comparison, search):
            of_run = measured(partial(report, run, folder / f"report of {run.name}"))
            page = megabytes(folder / f"report of {run.name}", "report.html")
            show(f"write_report of the {run.name}", of_run, note=f"a page of {page:.1f} MB")


if __name__ == "__main__":
    main()
