"""What `health:` costs: processor seconds of an epoch that is measured, and of one that is not.

Two trials of CKTF + KD from resnet20 to resnet8: the baseline of `search_spaces/digits_ablation.yaml`, whose epochs of
112 images of 8x8 are nearly as short as its validation split of 126, and the same on all 1,122 training images at
32x32, in batches of 64. Each is trained with and without, in turns, through `cktf.trial.run.run_trial`, evaluation
included; figures are medians of epochs, in seconds of this process, so that other work on the machine counts little.
The first epoch, which starts everything, is left out.

Run ``python benchmarks/health.py [--repeats N]``.
"""

import argparse
import statistics
import time
from typing import Any

import torch

from cktf.trainer.config import TrialConfig
from cktf.trainer.health import HealthConfig
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial

BASELINE: dict[str, Any] = {
    "data": {"name": "digits", "train_fraction": 0.1},
    "teacher": {"model": "resnet20", "epochs": 30},
    "student": {"model": "resnet8"},
    "objective": {
        "cross_entropy": {},
        "kd": {"weight": 1.0, "temperature": 4},
        "cktf": {"beta": 0.8, "theta": 0.1, "temperature": 0.1, "negatives": 64},
    },
    "optimizer": {"learning_rate": 0.03, "schedule": "cosine"},
    "epochs": 6,
    "batch_size": 16,
}
LARGER = {
    "data": {"name": "digits", "side": 32},
    "teacher": {"model": "resnet20", "epochs": 1},
    "batch_size": 64,
}
TRIALS = {
    "digits, 8x8, 112 images": BASELINE,
    "digits, 32x32, all images": {**BASELINE, **LARGER, "epochs": 3},
}
DEFAULT = HealthConfig().every


def epoch_seconds(config: TrialConfig, health: HealthConfig | None) -> list[float]:
    """Return the processor seconds of each epoch, without the first one's setting up."""
    seconds = []
    began = 0.0
    for number, _ in enumerate(run_trial(config, TrainOptions(health=health))):
        now = time.process_time()
        if number > 0:
            seconds.append(now - began)
        began = time.process_time()
    return seconds


def main() -> None:
    """Measure, and print a line for each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(f"{'trial':<28} {'epoch':>9} {'measured':>9} {'ratio':>6}   with 'every: {DEFAULT}'")
    for name, values in TRIALS.items():
        config = TrialConfig.model_validate(values)
        list(run_trial(config.model_copy(update={"epochs": 1})))  # the teacher is there, and all is warm
        without, measured = [], []
        for _ in range(repeats):
            without += epoch_seconds(config, None)
            measured += epoch_seconds(config, HealthConfig(every=1))
        plain, beside = statistics.median(without), statistics.median(measured)
        ratio = beside / plain
        print(f"{name:<28} {plain:>7.3f} s {beside:>7.3f} s {ratio:>6.2f}   +{100 * (ratio - 1) / DEFAULT:.1f} %")


if __name__ == "__main__":
    main()
