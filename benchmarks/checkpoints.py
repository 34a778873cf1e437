"""A quickstart trial with a checkpoint after each epoch, written before the next, against checkpoints as they are.

Both train the same trials of `search_spaces/digits_ablation.yaml`, in turn and in one process; what is told is the
median ratio of a trial's two times, the bytes that each way writes, and whether all results are equal.

Run ``python benchmarks/checkpoints.py [--trials 8]``.
"""

import argparse
import platform
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cktf.storage import Storage
from cktf.study.load import load_study
from cktf.trainer.checkpoint import CHECKPOINT, CheckpointWriter
from cktf.trainer.config import TrialConfig
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial

STUDY = Path(__file__).parents[1] / "search_spaces" / "digits_ablation.yaml"
TIMES = {"epoch_seconds", "samples_per_second", "checkpoint_seconds", "peak_memory_gib"}


def trained(config: TrialConfig, *, each_epoch: bool) -> tuple[float, int, Any]:
    """Return seconds, bytes written as checkpoints, and results of one trial."""
    written = 0
    begin, write = CheckpointWriter.write, Storage.write

    def at_once(writer: CheckpointWriter, checkpoint: Any) -> None:
        begin(writer, checkpoint)
        if each_epoch:
            writer.wait()

    def counted(place: Storage, name: str, content: bytes | memoryview) -> None:
        nonlocal written
        written += len(content) if name == CHECKPOINT else 0
        write(place, name, content)

    CheckpointWriter.write, Storage.write = at_once, counted  # type: ignore[assignment, method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            options = TrainOptions(read_test=True, checkpoint_seconds=0 if each_epoch else 60)
            started = time.perf_counter()
            results = list(run_trial(config, options, run=Storage(folder), device=torch.device("cpu")))
            seconds = time.perf_counter() - started
    finally:
        CheckpointWriter.write, Storage.write = begin, write  # type: ignore[method-assign]
    return seconds, written, [{k: v for k, v in asdict(each).items() if k not in TIMES} for each in results]


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load_study(STUDY).baseline_config
    trained(config, each_epoch=False)  # warms up; trains the teacher
    ratios, seconds, written, are_equal = [], [], [0, 0], True
    for seed in range(arguments.trials):
        found = {
            way: trained(config.with_seed(seed), each_epoch=way) for way in ((True, False), (False, True))[seed % 2]
        }
        ratios.append(found[True][0] / found[False][0])
        seconds.append((found[True][0], found[False][0]))
        written = [found[True][1], found[False][1]]
        are_equal &= found[True][2] == found[False][2]
    before, now = (1000 * statistics.median(times) for times in zip(*seconds, strict=True))
    print(f"{platform.machine()}; torch {torch.__version__}; {arguments.trials} trials of {STUDY.stem}, one thread")
    print(f"  a checkpoint each epoch, before the next  {before:>7.0f} ms  {written[0]:>12,} bytes")
    print(f"  as they are                               {now:>7.0f} ms  {written[1]:>12,} bytes")
    print(f"  median ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f}); ", end="")
    print("results are equal" if are_equal else "RESULTS DIFFER")


if __name__ == "__main__":
    main()
