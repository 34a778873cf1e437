"""A study with the teacher once, and with the live teacher: what `teacher_once: true` saves, and for which networks.

First a study of 12 trials, 6 arms at 2 seeds, trained to the end through `cktf.trial.run.run_trial` in this process,
trial by trial with and without, evaluation included: real digits, scaled to 32x32, cropped at random. The teacher is
trained beforehand. The first trial that reads something computes and writes it; that is in its time. Peak memory is
that of a process of its own, which trains the baseline once.

Then pairs of networks on random images of CIFAR size, 100 classes, cropped and flipped, in batches of 64, with KD and
CKTF: seconds of one epoch of few steps with the live teacher, with what is read of it mapped, and of the pass that
computes and writes this. Their ratio for A arms is A * live / (pass + A * mapped). Figures are medians of epochs; the
teachers' weights are random, which costs the same.

Run ``python benchmarks/teacher_once.py [--device cuda]``.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cktf.data import Augmentation, Dataset, TrainLoader, split
from cktf.models import build_model
from cktf.seeding import initialisation
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.optimizer import build_optimizer
from cktf.trainer.phases import LiveTeacher, Phase, Teacher
from cktf.trainer.train import TrainOptions
from cktf.trial.reading_files import ReadingFiles
from cktf.trial.run import run_trial
from cktf.trial.teacher_once import TeacherOnce
from cktf.trial.teachers import load_teacher

CKTF = {"beta": 0.8, "theta": 0.1, "negatives": 512}
BASELINE = {"cross_entropy": {}, "kd": {}, "cktf": CKTF}
ARMS: dict[str, dict[str, Any]] = {
    "baseline": BASELINE,
    "kd.weight=0": {"cross_entropy": {}, "cktf": CKTF},
    "cktf.weight=0": {"cross_entropy": {}, "kd": {}},
    "theta=0": {**BASELINE, "cktf": {**CKTF, "theta": 0}},
    "pairing=first": {**BASELINE, "cktf": {**CKTF, "pairing": "first"}},
    "temperature=0.5": {**BASELINE, "cktf": {**CKTF, "temperature": 0.5}},
}
SEEDS = (0, 1)
PAIRS = (
    ("resnet20", "resnet8"),
    ("resnet56", "resnet20"),
    ("wrn_40_2", "wrn_16_2"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "vgg8"),
    ("ResNet50", "MobileNetV2"),
)


def trial(arm: str, seed: int, teacher: str, student: str, side: int, epochs: int) -> TrialConfig:
    """Return one trial of the study."""
    return TrialConfig.model_validate(
        {
            "data": {"name": "digits", "side": side},
            "teacher": {"model": teacher, "epochs": 1},
            "student": {"model": student},
            "objective": ARMS[arm],
            "epochs": epochs,
            "seed": seed,
        }
    )


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Return the wall time of some work."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def study(teacher: str, student: str, side: int, epochs: int, device: torch.device) -> None:
    """Train the study both ways, and print the ratio."""
    totals = {False: 0.0, True: 0.0}
    first = trial("baseline", 0, teacher, student, side, epochs)
    assert first.teacher
    load_teacher(first.teacher, first.data, device, None)
    print(f"\n{'arm':<18} {'seed':>4} {'live':>8} {'once':>8}   (seconds of a trial)")
    for seed in SEEDS:
        for arm in ARMS:
            config = trial(arm, seed, teacher, student, side, epochs)
            taken = {}
            for once in (False, True):
                taken[once] = seconds(partial(train_to_end, config, once, device), device)
                totals[once] += taken[once]
            print(f"{arm:<18} {seed:>4} {taken[False]:>8.2f} {taken[True]:>8.2f}")
    written = [path.stat().st_size for path in Path(os.environ["CKTF_CACHE"]).rglob("*.float16")]
    print(f"{'12 trials':<23} {totals[False]:>8.1f} {totals[True]:>8.1f}   ratio {totals[False] / totals[True]:.2f}")
    print(f"on disk: {len(written)} files, {sum(written) / 2**20:.1f} MiB")
    if device.type == "cpu":
        peaks = [peak_memory(first, once) for once in (False, True)]
        print("peak memory of a process: {:.2f} GiB live, {:.2f} GiB once".format(*peaks))


def train_to_end(config: TrialConfig, once: bool, device: torch.device) -> None:
    """Train a trial and forget its results."""
    for _ in run_trial(config, TrainOptions(teacher_once=once), device=device):
        pass


def peak_memory(config: TrialConfig, once: bool) -> float:
    """Return GiB that a process of its own takes to train the trial, with no files there yet."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "teachers").symlink_to(Path(os.environ["CKTF_CACHE"]) / "teachers")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_train_and_measure, (config.model_dump_json(), once, folder))


def _train_and_measure(config: str, once: bool, folder: str) -> float:
    os.environ["CKTF_CACHE"] = folder
    train_to_end(TrialConfig.model_validate_json(config), once, torch.device("cpu"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def random_images(num_samples: int, device: torch.device) -> Dataset:
    """Return random images of CIFAR size, in 100 classes."""
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (num_samples, 3, 32, 32), generator=draws, dtype=torch.uint8)
    labels = torch.arange(num_samples) % 100
    grey = torch.full((3,), 0.5)
    standard = Augmentation(crop=4, flip=True)
    return Dataset(images, labels, images[:1], labels[:1], 100, grey, grey, standard).to(device)


def pair(teacher: str, student: str, num_samples: int, repeats: int, device: torch.device) -> None:
    """Measure one pair of networks, and print its line."""
    config = TrialConfig.model_validate(
        {
            "data": {"name": "cifar100", "validation_fraction": 0.1},
            "teacher": {"model": teacher},
            "student": {"model": student},
            "objective": ARMS["theta=0" if student == "MobileNetV2" else "baseline"],
        }
    )
    dataset = random_images(num_samples, device)
    with initialisation(0, "teacher"):
        network = build_model(teacher, 100, dataset.image_shape)
    network.to(device).requires_grad_(False).eval()
    phase = assemble(config, dataset, split(dataset.train_labels, config.data, 0), network)[2][-1]
    assert phase.teacher
    assert phase.readings
    loader = phase.loader(Workers())
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision_on(device.type) == "bfloat16")
    live = LiveTeacher(phase.teacher, phase.readings)
    with tempfile.TemporaryDirectory() as folder:
        files = ReadingFiles(Path(folder), limit=10**12)
        once = TeacherOnce(phase.teacher, phase.readings, loader, autocast, {}, repeats + 1, files)
        passes, mapped, lively = [], [], []
        for epoch in range(1, repeats + 2):
            passes.append(seconds(partial(once.epoch, epoch), device))
            mapped.append(seconds(partial(train_epoch, phase, loader, once, epoch, autocast), device))
            lively.append(seconds(partial(train_epoch, phase, loader, live, epoch, autocast), device))
        reading = seconds(partial(read_epoch, loader, once, repeats + 1), device)
    steps = len(loader)
    per_step = [1000 * statistics.median(times[1:]) / steps for times in (lively, mapped, passes)]
    live_ms, mapped_ms, pass_ms = per_step
    ratios = [arms * live_ms / (pass_ms + arms * mapped_ms) for arms in (1, 2, 6, 12)]
    values = sum(reading.shape.numel() for reading in phase.readings)
    print(
        f"{teacher + ' -> ' + student:<26} {live_ms:>8.1f} {mapped_ms:>8.1f} {pass_ms:>8.1f} "
        f"{1000 * reading / steps:>8.2f} {2 * values:>9,}  " + " ".join(f"{ratio:>6.2f}" for ratio in ratios)
    )


def train_epoch(phase: Phase, loader: TrainLoader, teacher: Teacher, epoch: int, autocast: torch.autocast) -> None:
    """Train one epoch as `cktf.trainer.train` does."""
    assert phase.student
    optimizer = build_optimizer(phase.optimizer, phase.parameters)
    read_teacher = teacher.epoch(epoch)
    for batch in loader.epoch(epoch):
        images = batch.images.contiguous(memory_format=torch.channels_last)
        with autocast:
            loss, _ = phase.loss(phase.student(images), read_teacher(images, batch), batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()


def read_epoch(loader: TrainLoader, teacher: Teacher, epoch: int) -> None:
    """Read what was kept of an epoch, and make its batches."""
    read_teacher = teacher.epoch(epoch)
    for batch in loader.epoch(epoch):
        read_teacher(batch.images, batch)


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of a CPU")
    parser.add_argument("--teacher", default="resnet20", help="of the study")
    parser.add_argument("--student", default="resnet8", help="of the study")
    parser.add_argument("--side", type=int, default=32, help="of the study's images")
    parser.add_argument("--epochs", type=int, default=3, help="of a trial of the study")
    parser.add_argument("--samples", type=int, default=320, help="images of an epoch of the pairs")
    parser.add_argument("--repeats", type=int, default=3, help="epochs of the pairs, after one that warms up")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(arguments.threads)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{where}; torch {torch.__version__}, {arguments.threads} CPU thread(s)")
    print(
        f"study: {arguments.teacher} -> {arguments.student}, digits at side {arguments.side}, {arguments.epochs} epochs"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CKTF_CACHE"] = folder
        study(arguments.teacher, arguments.student, arguments.side, arguments.epochs, device)
    print("\nmilliseconds of a step of 64: live, mapped, pass that writes, reading and making batches alone; bytes")
    print("a sample and epoch; live / once for 1, 2, 6 and 12 arms that read the same. KD and CKTF, of which networks")
    print("with different numbers of stages have the penultimate pair alone")
    columns = f"{'live':>8} {'mapped':>8} {'pass':>8} {'reading':>8} {'bytes':>9}"
    print(f"{'pair':<26} {columns}  {'1':>6} {'2':>6} {'6':>6} {'12':>6}")
    for teacher, student in PAIRS:
        pair(teacher, student, arguments.samples, arguments.repeats, device)


if __name__ == "__main__":
    main()
