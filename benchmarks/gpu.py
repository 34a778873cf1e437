"""The claims for a GPU, each measured on it: the contrast, its sources, memory, the whole step, the input, packing.

1. One side of one pair, forward and backward, against the gather and against the two matrix products.
2. The same with other sources of negatives, and with a bank in bfloat16.
   Then in the fused kernel, and by products with tiles of other sizes: larger ones mean fewer kernels to launch.
3. Memory that PyTorch allocates for a whole step of five pairs, above that of the networks alone.
4. Time of the whole step, WRN-40-2 to WRN-16-2, batch 64, against the gather; with TF32 and with bfloat16.
5. Crop, flip and normalisation on the GPU, against torchvision's in a DataLoader with 2 workers.
6. Packing: 1, 2, 4 and 8 trainings of students in processes that share the GPU; which number trains the most images a
   second, and so what ``resources: {gpus: ...}`` a study should ask for.
7. A whole training as a study runs it, operator by operator and with recorded steps and the fused kernel, which it
   takes where they can be trusted: images a second of its last epoch.
8. The step of 4 with networks that are compiled, plainly and into CUDA graphs, which are launched as one. Last, for
   compiling takes minutes, and fails where there is no compiler.

1 and 2 are those of `contrast.py`, the step is that of `step.py`, 5 that of `input.py`, timed by CUDA events. It needs
PyTorch, NumPy, pydantic and this checkout; 5 needs torchvision as well, and 7 all that a trial needs.

Run ``PYTHONPATH=. python benchmarks/gpu.py``. Without a GPU it says so and measures nothing. With ``--smoke`` all of it
runs on a CPU with tiny shapes, to show that it works; those figures mean nothing.
"""

import argparse
import gc
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import TextIOWrapper
from itertools import count, islice
from os import cpu_count
from threading import Barrier, BrokenBarrierError
from unittest.mock import patch

import torch
from contrast import Call, OneSide, in_turns, one_side, seconds, sources
from gather import TEMPERATURE
from step import BFLOAT16, Sizes, training_step

from cktf.objectives.contrastive import nce as contrast
from cktf.objectives.contrastive.nce import noise_contrastive_loss

TINY = Sizes(batch=8, negatives=32, num_samples=200, dim=8, classes=5, student="resnet8", teacher="resnet8")
MIB = 2**20
TILES = (2**19, 2**20, 2**21, 2**22, 2**23)
BLOCKS, STEPS, WARM_UP = 5, 10, 5
"""Steps are timed in blocks, between which alone the GPU is waited for, as a trainer would launch them."""
PACKED = (1, 2, 4, 8)
PACKING_SECONDS = 10.0
PATIENCE = 90.0
"""Seconds that processes may take to start and to warm up."""


@dataclass(frozen=True)
class Way:
    """One way to take a whole step.

    Attributes:
        kind: As `training_step` has it.
        tf32: Whether products and convolutions in float32 are taken in TF32.
        compile_mode: Of `torch.compile`; None: networks are not compiled.
    """

    kind: str
    tf32: bool = False
    compile_mode: str | None = None

    def __str__(self) -> str:
        """Name all that sets it apart."""
        compiled = f", compiled ({self.compile_mode})" if self.compile_mode else ""
        return self.kind + (" TF32" if self.tf32 else "") + compiled


WAYS = (
    Way("networks"),
    Way("contrast"),
    Way("gather"),
    Way("networks", tf32=True),
    Way("contrast", tf32=True),
    Way("gather", tf32=True),
    Way("networks" + BFLOAT16),
    Way("contrast" + BFLOAT16),
    Way("gather" + BFLOAT16),
)
PLAIN = Way("contrast" + BFLOAT16)
COMPILED = (
    Way("contrast" + BFLOAT16, compile_mode="default"),
    Way("contrast" + BFLOAT16, compile_mode="reduce-overhead"),
)


def tile_sizes(side: OneSide, partition: float) -> None:
    """Measure the contrast of one side by the fused kernel and by products of several sizes, and print it."""
    negatives = side.source("sampled")(side.batch)
    scored = side.scored(side.bank(), negatives)
    num_samples = side.sizes.num_samples

    def with_tiles(elements: int) -> tuple[torch.Tensor, ...]:
        products = patch.multiple(contrast, tile_elements=lambda _: elements, kernel_for=lambda *_: None)
        with products if elements else nullcontext():
            loss = noise_contrastive_loss(
                *scored, temperature=TEMPERATURE, partitions=[partition], num_samples=num_samples
            )
        gradient: tuple[torch.Tensor, ...] = torch.autograd.grad(loss.sum(), side.anchors)
        return gradient

    calls: dict[str, Call] = {f"{elements:,}": partial(with_tiles, elements) for elements in TILES}
    if contrast.kernel_for(side.device, side.anchors.shape[1]):
        calls["fused kernel"] = partial(with_tiles, 0)
        torch.testing.assert_close(with_tiles(0), with_tiles(TILES[0]), rtol=1e-4, atol=1e-6)
    times = in_turns(calls, rounds=20, device=side.device)
    print(f"one side of one pair by scores of a tile; the product has {contrast.tile_elements(side.device):,}")
    for name, taken in times.items():
        print(f"  {name:>12} {taken * 1e3:8.3f} ms")


@contextmanager
def tf32(*, is_on: bool) -> Iterator[None]:
    """Let float32 products and convolutions be taken in TF32, or not."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = is_on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def measured_step(way: Way, sizes: Sizes, device: torch.device, steps: int) -> tuple[list[float], float]:
    """Return the seconds of a step, of each block, and the MiB that were allocated at most; the latter 0 on a CPU.

    Args:
        way: How steps are taken.
        sizes: Of everything.
        device: Where.
        steps: Of a block.
    """
    if way.compile_mode:
        torch.compiler.reset()  # so that no way before it is any help, or counts against the limit of recompilations
    train_step = training_step(way.kind, sizes, device, compile_mode=way.compile_mode)
    numbers = count()

    def block(length: int) -> None:
        for number in islice(numbers, length):
            if way.compile_mode:
                # The last step's activations may be overwritten.
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            train_step(number)

    with tf32(is_on=way.tf32):
        block(WARM_UP)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        times = [seconds(partial(block, steps), device) / steps for _ in range(BLOCKS)]
    peak = torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else 0.0
    return times, peak


def whole_steps(ways: Sequence[Way], sizes: Sizes, device: torch.device, steps: int) -> None:
    """Measure whole steps, each way twice and in turns, and print times and memory."""
    times: dict[Way, list[float]] = defaultdict(list)
    memory: dict[Way, float] = defaultdict(float)
    for _ in range(2):
        for way in ways:
            taken, peak = measured_step(way, sizes, device, steps)
            times[way] += taken
            memory[way] = max(memory[way], peak)
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
    median = {way: statistics.median(values) for way, values in times.items()}
    gather, networks = Way("gather"), Way("networks")
    print(f"whole CKTF step, {sizes.teacher} to {sizes.student}, five pairs")
    for way in ways:
        print(
            f"  {way!s:45} {median[way] * 1e3:8.2f} ms, {memory[way]:8.0f} MiB; "
            f"gather / this {median[gather] / median[way]:5.1f}"
        )
    own = {way: memory[way] - memory[networks] for way in (Way("contrast"), gather)}
    if own[Way("contrast")] > 0:
        print(
            f"  five pairs above the networks: {own[Way('contrast')]:.0f} MiB, gather {own[gather]:.0f} MiB: "
            f"{own[gather] / own[Way('contrast')]:.1f} x"
        )


def compiled_steps(ways: Sequence[Way], sizes: Sizes, device: torch.device, steps: int) -> None:
    """Measure steps with compiled networks, each way after the same step uncompiled, and print time and memory."""
    print(f"whole CKTF step, {sizes.teacher} to {sizes.student}, five pairs, with compiled networks")
    for way in ways:
        plain, _ = measured_step(PLAIN, sizes, device, steps)
        began = time.perf_counter()
        try:
            taken, peak = measured_step(way, sizes, device, steps)
        except Exception as error:  # compilers fail in many ways, and the other way may still work
            reason = (str(error).splitlines() or [""])[0]
            print(f"  {way!s:45} cannot be compiled here: {type(error).__name__}: {reason}")
            continue
        median = statistics.median(taken)
        print(
            f"  {way!s:45} {median * 1e3:8.2f} ms, {peak:8.0f} MiB; uncompiled / this "
            f"{statistics.median(plain) / median:5.2f}; all of it took {time.perf_counter() - began:.0f} s"
        )


def trainings(sizes: Sizes, device: torch.device, epochs: int) -> None:
    """Measure a training as a study runs it, eagerly and as it chooses itself, twice and in turns, and print it."""
    from input import generated

    from cktf.models import ModelConfig, build_model
    from cktf.trainer.config import TrialConfig
    from cktf.trainer.train import TrainOptions, train

    dataset = generated(sizes.num_samples).to(device)
    network = build_model(ModelConfig(model=sizes.teacher), dataset.num_classes, dataset.image_shape)
    teacher = network.to(device).eval().requires_grad_(False)
    config = TrialConfig.model_validate(
        {
            "data": {"name": "cifar100"},
            "student": {"model": sizes.student},
            "teacher": {"model": sizes.teacher, "epochs": 1},
            "objective": {"cross_entropy": {}, "kd": {}, "cktf": {"negatives": sizes.negatives}},
            "batch_size": sizes.batch,
            "epochs": epochs,
        }
    )
    print(f"whole training, {sizes.teacher} to {sizes.student}, five pairs, KD and cross-entropy")
    rates: dict[str, list[float]] = defaultdict(list)
    for step in ("eager", "auto") * 2:
        *_, last = train(config, dataset, teacher, TrainOptions(step=step))
        rates[step].append(last.samples_per_second)
        print(f"  step {step:6} {last.samples_per_second:10,.0f} images/s; it ran as {last.step}, {last.precision}")
    print(f"  auto / eager {statistics.mean(rates['auto']) / statistics.mean(rates['eager']):.2f}")


def train_for(duration: float, sizes: Sizes, device_name: str, barrier: Barrier) -> float:
    """Train a student beside others that begin at the same time, and return its images per second.

    Raises:
        OutOfMemoryError: If the GPU has no room for it; the others then end with a `BrokenBarrierError`.
    """
    device = torch.device(device_name)
    try:
        train_step = training_step("contrast" + BFLOAT16, sizes, device)
        for number in range(WARM_UP):
            train_step(number)
        synchronise(device)
    except torch.OutOfMemoryError:
        barrier.abort()
        raise
    barrier.wait(PATIENCE)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < duration:
        for _ in range(STEPS):
            train_step(WARM_UP + steps)
            steps += 1
        synchronise(device)
    rate: float = steps * sizes.batch / (time.perf_counter() - began)
    return rate


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def packing(counts: Sequence[int], sizes: Sizes, device: torch.device, duration: float) -> None:
    """Measure so many trainings side by side, and print their throughput and the advice that follows."""
    context = multiprocessing.get_context("spawn")
    totals: dict[int, float] = {}
    print("packing: trainings side by side, each in a process of its own, bfloat16")
    for trials in counts:
        with context.Manager() as manager, context.Pool(trials) as pool:
            task = (duration, sizes, str(device), manager.Barrier(trials))
            try:
                trainings = pool.starmap_async(train_for, [task] * trials, chunksize=1)
                # A process that dies, killed for memory, takes its training with it, and nobody tells.
                totals[trials] = sum(trainings.get(PATIENCE + duration))
            except (torch.OutOfMemoryError, BrokenBarrierError, multiprocessing.TimeoutError):
                print(f"  {trials} trials do not fit into its memory, or do not come to an end")
                break
        print(f"  {trials} trials {totals[trials]:10,.0f} images/s, {totals[trials] / totals[counts[0]]:.2f} x")
    if not totals:
        return
    best = max(totals, key=lambda trials: totals[trials])
    share = "1" if best == 1 else f"{1 / best:g}"
    print(f"advice: resources: {{gpus: {share}}}, which is {best} trial(s) on one GPU")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="on a CPU, with tiny shapes")
    arguments = parser.parse_args()
    if not (arguments.smoke or torch.cuda.is_available()):
        print("no CUDA device: nothing is measured")
        return
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)  # what was measured is told, also where a time limit ends all
    device, sizes = torch.device("cuda"), Sizes()
    ways, compiled, packed = list(WAYS), list(COMPILED), list(PACKED)
    duration, steps, samples, epochs = PACKING_SECONDS, STEPS, 12_800, 3
    if arguments.smoke:
        device, sizes = torch.device("cpu"), TINY
        ways, compiled, packed = ways[:3], compiled[:1], [2]
        duration, steps, samples, epochs = 0.1, 1, 256, 1
    where = "smoke run on a CPU"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        where = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {cpu_count()} CPU cores"
    print(f"{where}; torch {torch.__version__}, CUDA {torch.version.cuda}")
    print(f"{sizes}, float32")
    side = OneSide(sizes, device)
    partition = one_side(side)
    sources(side, partition)
    tile_sizes(side, partition)
    whole_steps(ways, sizes, device, steps)
    if find_spec("torchvision"):
        from input import print_rates

        print_rates(samples, sizes.batch, 5, device)
    else:
        print("input: torchvision is not there to compare with")
    if find_spec("torchvision") and find_spec("pyarrow"):
        trainings(sizes, device, epochs)
    packing(packed, sizes, device, duration)
    compiled_steps(compiled, sizes, device, steps)


if __name__ == "__main__":
    main()
