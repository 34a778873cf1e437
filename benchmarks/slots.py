"""Slots: what a trial of a study costs besides its training.

1. Starting a trial in a running study: seconds from a trial's end, as the ledger has it, to the first training step of
   the next one in the same slot. Ray Train's worker, the data set and the networks are in it; so are the epoch's
   checkpoint and the way of its result to the driver, which the ledger cannot tell apart. Beside it one Ray Train run
   for each trial, from ``fit`` to the first training step, and all that such a run takes besides training.
2. The driver: trials of one second on two slots, against the ideal of half a second for each. What trains is a
   function that waits for a second, put into every worker in the place of `cktf.trial.run.run_trial`; the planner,
   Ray Tune, the slots, Ray Train and the ledger are those of any study. With ``--sampler`` it is a search, planned
   trial by trial, instead of a design. Overhead is told of the session from launch to end and, between the first
   trial's beginning and the last one's end, of each quarter of the trials: a driver that slows down shows there.

Run ``python benchmarks/slots.py [--trials 100] [--sampler tpe]``; with all 1,000 trials it takes ten minutes, which are
mostly waiting.
"""

import argparse
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from cktf.cluster.environment import prepare
from cktf.driver import launch
from cktf.epoch_result import EpochResult
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Status
from cktf.run.ledger import read_ledger
from cktf.storage import Storage
from cktf.study.designs import plan_arms
from cktf.study.load import Study
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trial.run import run_trial

SLOTS = 2
QUARTERS = 4
TOLD = "told.json"
BASELINE = {
    "data": {"name": "digits", "train_fraction": 0.1},
    "student": {"model": "resnet5"},
    "objective": {"cross_entropy": {}},
    "epochs": 1,
}
DOMAINS = {
    "optimizer.learning_rate": {"float": [0.001, 0.5], "log": True},
    "optimizer.momentum": {"float": [0.0, 0.95]},
    "optimizer.weight_decay": {"float": [1e-5, 0.1], "log": True},
}


def study(trials: int, sampler: str, slots: int) -> StudySpec:
    """Return a study of so many trials: a search, or with the sampler ``none`` a design of two arms."""
    kind: dict[str, Any] = {"search": DOMAINS, "trials": trials, "sampler": sampler}
    if sampler == "none":
        kind = {"ablate": {"optimizer.momentum": [0.0]}, "seeds": trials // 2}
    resources = {"cpus": 1, "gpus": 0, "slots": slots}
    return Study(name="slots", baseline=BASELINE, resources=resources, **kind)


def launched(spec: StudySpec) -> list[Row]:
    """Run a study to its end and return its ledger."""
    with tempfile.TemporaryDirectory() as run_dir:
        summary = launch(spec, run_dir, console=Console(file=io.StringIO()))
        rows = list(read_ledger(Storage(run_dir)))
    ends = [row for row in rows if isinstance(row, EndRow)]
    assert all(row.status == Status.COMPLETE for row in ends), summary.in_words()
    return rows


def starts_in_a_study(trials: int) -> dict[str, list[float]]:
    """Return, of each trial but the first, seconds to its first step from the last one's end, and from its own row."""
    rows = launched(study(trials, "random", slots=1))
    planned = [row.time for row in rows if isinstance(row, PlannedRow)]
    began = [row.time - row.epoch_seconds for row in rows if isinstance(row, EpochRow)]
    ended = [row.time for row in rows if isinstance(row, EndRow)]
    return {
        "end": [step - end for step, end in zip(began[1:], ended[:-1], strict=True)],
        "row": [step - plan for step, plan in zip(began[1:], planned[1:], strict=True)],
    }


def ray_train_runs(runs: int) -> dict[str, list[float]]:
    """Return, of each Ray Train run, seconds from ``fit`` to its first step, and all besides its training."""
    from ray import train as ray_train  # here, as in the product: Ray looks around while it is imported
    from ray.train.torch import TorchTrainer

    from cktf.cluster.machine import Machine
    from cktf.cluster.nodes import connected

    (baseline,) = plan_arms(study(1, "random", slots=1))
    times: dict[str, list[float]] = {"step": [], "besides": []}
    # As a slot has it; with its default of 2 s Ray Train would notice later that its workers have started.
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.5"
    with connected(Machine()):
        for seed in range(runs):
            config = baseline.config.with_seed(seed).model_dump_json()
            with tempfile.TemporaryDirectory() as folder:
                trainer = TorchTrainer(
                    train_one,
                    train_loop_config={"trial": config, "folder": folder},
                    scaling_config=ray_train.ScalingConfig(num_workers=1),
                    run_config=ray_train.RunConfig(storage_path=folder),
                )
                fitted = time.time()
                trainer.fit()
                done = time.time()
                told = json.loads((Path(folder) / TOLD).read_text())
            times["step"].append(told["began"] - fitted)
            times["besides"].append(done - fitted - told["seconds"])
    return times


def train_one(settings: dict[str, str]) -> None:
    """Train a trial of one epoch; what the worker of a Ray Train run of its own does."""
    torch.set_num_threads(1)
    config = TrialConfig.model_validate_json(settings["trial"])
    (result,) = run_trial(config, device=torch.device("cpu"))
    told = {"began": time.time() - result.epoch_seconds, "seconds": result.epoch_seconds}
    (Path(settings["folder"]) / TOLD).write_text(json.dumps(told))


def one_second(config: TrialConfig, *_given: object, **_settings: object) -> Iterator[EpochResult]:
    """Train nothing, for a second; takes what `cktf.trial.run.run_trial` takes."""
    time.sleep(1.0)
    yield EpochResult(
        epoch=1,
        phase="train",
        learning_rate=config.optimizer.learning_rate,
        train_loss=1.0,
        train_accuracy=50.0,
        validation_loss=1.0,
        validation_accuracy=100 * config.optimizer.momentum * (1 - config.optimizer.learning_rate),
        epoch_seconds=1.0,
        samples_per_second=1.0,
        peak_memory_gib=0.0,
        terms={},
    )


def wait_instead_of_training() -> None:
    """Put `one_second` where slots of this process find what trains."""
    from cktf.cluster import slot as trial

    trial.run_trial = one_second  # type: ignore[attr-defined]


def waiting_study(trials: int, sampler: str) -> tuple[list[Row], float, float]:
    """Run a study of trials of one second; return its ledger and when it was launched and done."""
    import ray

    spec = study(trials, sampler, SLOTS)
    launching = time.time()
    ray.init(
        "local",
        num_cpus=SLOTS,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": wait_instead_of_training},
    )
    try:
        rows = launched(spec)
    finally:
        ray.shutdown()
    return rows, launching, time.time()


def quarters(rows: list[Row]) -> list[float]:
    """Return the seconds between two ends of trials, mean over each quarter of them but the first two."""
    ends = [row.time for row in rows if isinstance(row, EndRow)]
    marks = [SLOTS + (len(ends) - 1 - SLOTS) * quarter // QUARTERS for quarter in range(QUARTERS + 1)]
    return [(ends[after] - ends[before]) / (after - before) for before, after in pairwise(marks)]


def print_starts(trials: int, runs: int) -> None:
    """Measure what it takes to start a trial, and print it."""
    ours, theirs = starts_in_a_study(trials), ray_train_runs(runs)
    started, fitted = statistics.median(ours["end"]), statistics.median(theirs["step"])
    print(f"starting a trial, medians of {trials - 1} in one slot and of {runs} Ray Train runs")
    print(
        f"  from the end of the trial before to the first step  {started:7.3f} s, "
        f"at most {max(ours['end']):.3f}; from its own row {statistics.median(ours['row']):.3f} s"
    )
    print(
        f"  one Ray Train run a trial, from fit to the same     {fitted:7.3f} s: {fitted / started:.0f} x as long; "
        f"all besides training {statistics.median(theirs['besides']):.3f} s"
    )


def print_overhead(trials: int, sampler: str) -> None:
    """Measure the driver, and print its overhead."""
    rows, launching, done = waiting_study(trials, sampler)
    began = next(row.time for row in rows if isinstance(row, EpochRow)) - 1.0
    ended = [row.time for row in rows if isinstance(row, EndRow)]
    ideal = len(ended) / SLOTS
    running, whole = ended[-1] - began, done - launching
    kind = "a design" if sampler == "none" else f"a search, {sampler}"
    print(f"{len(ended)} trials of 1 s on {SLOTS} slots, {kind}; ideal {ideal:.0f} s")
    print(f"  first trial to last end {running:7.1f} s: overhead {100 * (running / ideal - 1):.2f} %")
    print(
        f"  launch to end           {whole:7.1f} s: overhead {100 * (whole / ideal - 1):.2f} %; "
        f"{began - launching:.1f} s before the first trial, {done - ended[-1]:.1f} s after the last"
    )
    over = ", ".join(f"{1000 * (SLOTS * seconds - 1):.1f}" for seconds in quarters(rows))
    print(f"  over a second, of a trial in each quarter: {over} ms")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000, help="trials of one second, an even number")
    parser.add_argument("--sampler", default="none", help="of a search; none: a design")
    parser.add_argument("--starts", type=int, default=40, help="trials of one epoch; 0 leaves this part out")
    parser.add_argument("--runs", type=int, default=5, help="Ray Train runs beside these")
    arguments = parser.parse_args()
    prepare(is_local=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; torch {torch.__version__}")
    if arguments.starts:
        print_starts(arguments.starts, arguments.runs)
    if arguments.trials:
        print_overhead(arguments.trials, arguments.sampler)


if __name__ == "__main__":
    main()
