"""The driver on a large study: what planning, replaying and `cktf status` take of time and memory.

Rows are drawn, not trained. Each part is measured at half the size too, so that what is not linear shows.

Run ``python benchmarks/driver.py [--trials 10000] [--epochs 100]``.
"""

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from rich.console import Console

from cktf.epoch_result import EpochResult
from cktf.plan.planner import Planner
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Status
from cktf.run.directory import write_what_was_asked
from cktf.run.ledger import Ledger
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.study.load import Study
from cktf.study.spec import StudySpec

BASELINE = {
    "data": {"name": "digits"},
    "student": {"model": "resnet8"},
    "objective": {"cross_entropy": {}, "kd": {}},
    "teacher": {"model": "resnet8"},
}


def study(trials: int, epochs: int, prune: str = "none") -> StudySpec:
    """Return a design of 20 arms, or with a pruner a search."""
    kind: dict[str, Any] = {"grid": {"optimizer.learning_rate": [0.01 * n for n in range(1, 21)]}}
    kind["seeds"] = trials // 20
    if prune != "none":
        searched = {"optimizer.learning_rate": {"float": [0.001, 0.5], "log": True}}
        kind = {"search": searched, "trials": trials, "sampler": "random", "prune": prune}
    return Study(name="driver", baseline={**BASELINE, "epochs": epochs}, **kind)


def result(epoch: int, score: float) -> EpochResult:
    """Return an epoch as wide as one of CKTF."""
    return EpochResult(
        epoch=epoch,
        phase="train",
        learning_rate=0.1,
        train_loss=1.0,
        train_accuracy=50.0,
        validation_loss=1.0,
        validation_accuracy=score,
        epoch_seconds=1.0,
        samples_per_second=1.0,
        peak_memory_gib=0.1,
        terms={f"cktf.stage{n}": 1.0 / n for n in range(1, 5)},
    )


def play(planner: Planner, epochs: int, most: int) -> None:
    """End so many trials of students and all of teachers."""
    number = 0
    while number < most and isinstance(row := planner.next_trial(), PlannedRow):
        if row.stage != "teacher":
            number += 1
        for epoch in range(1, (row.epochs if row.stage != "teacher" else 1) + 1):
            if planner.on_epoch(row.trial_id, result(epoch, 50 + epoch / epochs + number % 97)):
                break
        else:
            planner.on_end(row.trial_id, Status.COMPLETE)


def timed(what: Callable[[], object]) -> float:
    """Return the seconds of the processor that a call takes."""
    began = time.process_time()
    what()
    return time.process_time() - began


def peak() -> float:
    """Return the largest memory so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def replayed(trials: int, epochs: int, prune: str) -> tuple[float, int]:
    """Return the seconds of replaying a search's rows, and their number."""
    spec, rows = study(trials, epochs, prune), list[Row]()
    play(Planner(spec, rows.append), epochs, trials)
    return timed(lambda: Planner(spec, rows.append, list(rows))), len(rows)


def shown(trials: int, epochs: int) -> tuple[float, float, float]:
    """Return the seconds of planning a design, the memory then, and the seconds of `cktf status` when it has ended."""
    with tempfile.TemporaryDirectory() as folder:
        spec, run = study(trials, epochs), Storage(folder)
        with Ledger(run) as ledger:
            write_what_was_asked(spec, run, ledger)
            planned: list[Planner] = []
            planning, memory = timed(lambda: planned.append(Planner(spec, ledger.append))), peak()
            for trial in planned[0].state.trials.values():
                row = EpochRow(trial_id=trial.planned.trial_id, **vars(result(1, 50.0)))
                for epoch in range(1, epochs + 1):
                    ledger.append(replace(row, epoch=epoch))
                ledger.append(EndRow(trial_id=trial.planned.trial_id, status=Status.COMPLETE))
        console = Console(file=io.StringIO())
        return planning, memory, timed(lambda: console.print(status(folder)))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=100)
    asked = parser.parse_args()
    for trials in (asked.trials // 2, asked.trials):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:  # whose memory is that of this study alone
            planning, memory, showing = process.submit(shown, trials, asked.epochs).result()
        print(f"{trials} trials: planned in {planning:.1f} s, peak memory {memory:.2f} GiB")
        print(f"  of {asked.epochs} epochs: status in {showing:.1f} s")
    for prune in ("median", "hyperband", "successive_halving"):
        for trials in (asked.trials // 40, asked.trials // 20):
            seconds, rows = replayed(trials, asked.epochs, prune)
            print(
                f"{prune}, {trials} arms: {rows} rows replayed in {seconds:.1f} s, {1e6 * seconds / rows:.0f} µs a row"
            )


if __name__ == "__main__":
    main()
