"""The contrast with a whole bank against the published way (`gather.py`): gathering (batch, K + 1, dim) rows of it.

1. One side of one pair, forward and backward, given the negatives; also against the two matrix products that
   it cannot do without, (64 x 128)(128 x 50,000) and (64 x 50,000)(50,000 x 128).
2. The same side with other sources of negatives, with InfoNCE, and with a bank in bfloat16.
3. A whole CKTF training step, WRN-40-2 to WRN-16-2 on 32x32 images, five pairs, the draw of the negatives and
   the optimiser's step included, with the peak resident memory of a process that does nothing else; beside it
   the two networks with cross-entropy alone, which neither way can do without; PyTorch itself, which has trained
   one small layer; and all once more with the networks in bfloat16 (``precision: bfloat16``), which pays on a
   processor that multiplies in it. Then the step of an arm that shares the teacher's pass with eleven others
   (``teacher_once: true``): what was read of the teacher is looked up, and a twelfth of its pass added.

Batch 64, K 16,384, n 50,000, dim 128, float32. The ways take turns; times are medians.

Run ``python benchmarks/contrast.py [--threads 2]``; it takes about four minutes on two idle cores.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from gather import TEMPERATURE, RowsOfNegatives, gathered_losses, gathered_partition
from step import BFLOAT16, CPU, Sizes, training_step
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import MemoryBank
from cktf.objectives.contrastive.info_nce import info_nce_loss
from cktf.objectives.contrastive.nce import noise_contrastive_loss
from cktf.objectives.contrastive.negatives import Negatives, build_source
from cktf.objectives.contrastive.settings import BankPrecision, ContrastiveSettings, SourceKind

GIB = 2**30
SIDES = 10  # of five pairs
PYTORCH, TEACHER, ONCE = "pytorch", "teacher", "once"
WAYS = (
    PYTORCH,
    TEACHER,
    ONCE,
    *(way + precision for precision in ("", BFLOAT16) for way in ("networks", "contrast", "gather")),
)
ARMS = 12
"""Of a study, in which the teacher's pass is shared."""

Call = Callable[[], object]


def seconds(call: Call, device: torch.device = CPU) -> float:
    """Return how long one call takes; on a GPU by its own clock, from the first kernel's turn to the last one's end."""
    if device.type == "cuda":
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        began.record()
        call()
        ended.record()
        torch.cuda.synchronize(device)
        milliseconds: float = began.elapsed_time(ended)
        return milliseconds / 1000
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: dict[str, Call], rounds: int, device: torch.device = CPU) -> dict[str, float]:
    """Return each call's median time in seconds over rounds in which all take their turn."""
    times = defaultdict(list)
    for turn in range(rounds + 1):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
            if turn == 0:
                times[name].clear()  # the first round warms up
    return {name: statistics.median(values) for name, values in times.items()}


class OneSide:
    """Anchors of one side, and the other side's bank."""

    def __init__(self, sizes: Sizes, device: torch.device = CPU) -> None:
        self.sizes, self.device = sizes, device
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(sizes.num_samples, sizes.dim, generator=generator)
        anchors = torch.randn(sizes.batch, sizes.dim, generator=generator)
        self.rows = functional.normalize(rows, dim=1).to(device)
        self.anchors = functional.normalize(anchors, dim=1).to(device).requires_grad_()
        self.labels = sizes.labels.to(device)
        index = torch.randperm(sizes.num_samples, generator=generator)[: sizes.batch].to(device)
        self.batch = Batch(torch.empty(0), self.labels[index], index, step=0)

    def bank(self, precision: BankPrecision = "float32") -> MemoryBank:
        """Return a bank of the rows."""
        bank = MemoryBank(self.sizes.num_samples, self.sizes.dim, precision)
        bank.embeddings.copy_(self.rows)
        return bank.to(self.device)

    def scored(self, bank: MemoryBank, negatives: Negatives) -> tuple[Tensor, Tensor, list[Tensor], Negatives]:
        """Return what the losses of one side are given, of a bank's rows."""
        rows, own = bank.candidates(self.anchors, self.batch, negatives), bank.embeddings[self.batch.index].float()
        return self.anchors.unsqueeze(0), own.unsqueeze(0), [rows], negatives

    def source(self, source: SourceKind) -> nn.Module:
        """Return what chooses a batch's negatives."""
        settings = ContrastiveSettings(source=source, negatives=self.sizes.negatives)
        chooser = build_source(settings, self.sizes.labels, 0)
        assert chooser
        return chooser.to(self.device)


def one_side(side: OneSide) -> float:
    """Measure one side of one pair and print it; return Z."""
    anchors, batch, count = side.anchors, side.batch, side.sizes.negatives
    sampled, published = side.source("sampled"), RowsOfNegatives(side.labels, count)
    negatives = sampled(batch)
    drawn = negatives.weights.nonzero()[:, 1].view(len(anchors), count)
    named = Negatives(drawn, count, distinct=True)
    bank = side.bank().embeddings
    positives = bank[batch.index]
    partition = float(gathered_partition(anchors, positives, bank, named))

    def matrix() -> tuple[Tensor, ...]:
        (loss,) = noise_contrastive_loss(
            *(anchors.unsqueeze(0), positives.unsqueeze(0), [bank], negatives),
            temperature=TEMPERATURE,
            partitions=[partition],
            num_samples=side.sizes.num_samples,
        )
        return loss, *torch.autograd.grad(loss, anchors)

    def gather() -> tuple[Tensor, ...]:
        sides = anchors.unsqueeze(0), positives.unsqueeze(0), [bank]
        (loss,) = gathered_losses(*sides, named, partitions=[partition], num_samples=side.sizes.num_samples)
        return loss, *torch.autograd.grad(loss, anchors)

    @torch.no_grad()
    def products() -> Tensor:
        return (anchors @ bank.T) @ bank

    torch.testing.assert_close(matrix(), gather(), rtol=1e-4, atol=1e-6)
    fast = in_turns(
        {
            "contrast": matrix,
            "products": products,
            "draw": lambda: sampled(batch),
            "published draw": lambda: published(batch),
        },
        rounds=30,
        device=side.device,
    )
    slow = in_turns({"contrast": matrix, "gather": gather}, rounds=5, device=side.device)
    print("one side of one pair, forward and backward")
    print(f"  contrast {fast['contrast'] * 1e3:8.2f} ms")
    print(f"  gather   {slow['gather'] * 1e3:8.2f} ms: {slow['gather'] / slow['contrast']:.1f} x the contrast")
    print(
        f"  products {fast['products'] * 1e3:8.2f} ms: the contrast takes "
        f"{fast['contrast'] / fast['products']:.2f} x these"
    )
    print(
        f"draw of a batch's negatives, once for all pairs: {fast['draw'] * 1e3:.2f} ms; "
        f"a permutation an anchor: {fast['published draw'] * 1e3:.2f} ms"
    )
    return partition


def sources(side: OneSide, partition: float) -> None:
    """Measure the contrast of one side with each source, estimator and precision, and print it."""
    calls: dict[str, Call] = {}
    memory: dict[str, int] = {}

    def add(source: SourceKind, estimator: str = "nce", precision: BankPrecision = "float32") -> None:
        chooser, bank = side.source(source), side.bank(precision)
        negatives = chooser(side.batch)

        def contrast() -> tuple[Tensor, ...]:
            scored = side.scored(bank, negatives)
            if estimator == "infonce":
                loss = info_nce_loss(*scored, temperature=TEMPERATURE)
            else:
                loss = noise_contrastive_loss(
                    *scored, temperature=TEMPERATURE, partitions=[partition], num_samples=side.sizes.num_samples
                )
            return torch.autograd.grad(loss.sum(), side.anchors)

        name = f"{source:8} {estimator:8} {precision}"
        calls[name] = contrast
        calls[f"draw {source}"] = lambda: chooser(side.batch)
        memory[name] = bank.embeddings.element_size() * bank.embeddings.numel()

    sources: tuple[SourceKind, ...] = ("sampled", "all", "shared")
    for source in sources:
        add(source)
        add(source, estimator="infonce")
    for source in sources:
        if source != "all":
            add(source, precision="bfloat16")
    times = in_turns(calls, rounds=20, device=side.device)
    draws = {name: times[f"draw {name.split()[0]}"] for name in memory}
    shares = {name: times[name] + draws[name] / SIDES for name in memory}
    print(f"one side of one pair, forward and backward; the draw, once for {SIDES} sides; the bank's memory")
    for name, size in memory.items():
        print(
            f"  {name:26} {times[name] * 1e3:6.2f} ms; {draws[name] * 1e3:5.2f} ms; {size / 2**20:.1f} MiB; "
            f"with its share of the draw {shares['sampled  nce      float32'] / shares[name]:.2f} x as fast "
            "as the first"
        )


def train_small_layer() -> None:
    """Have PyTorch load all that it needs to train anything."""
    layer = nn.Conv2d(3, 4, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9, fused=True)
    layer(torch.randn(1, 3, 8, 8)).sum().backward()
    optimizer.step()


def step_times(way: str, sizes: Sizes, steps: int) -> list[float]:
    """Return the times of training steps after the first, which also estimates Z."""
    if way == PYTORCH:
        train_small_layer()
        return []
    train_step = training_step(way, sizes)
    return [seconds(partial(train_step, number)) for number in range(steps + 1)][1:]


def peak_memory_gib() -> float:
    """Return the largest resident memory of this process; `getrusage` would begin with its parent's."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) * 1024 / GIB


def whole_step(sizes: Sizes, threads: int) -> None:
    """Measure the whole step, each way in processes of its own, and print it."""
    times: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, float] = defaultdict(float)
    for _ in range(2):
        for way in WAYS:
            steps = 0 if way == PYTORCH else 3 if way.startswith("gather") else 6
            command = [sys.executable, __file__, f"--threads={threads}", f"--way={way}", f"--steps={steps}"]
            answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            times[way] += answer["seconds"]
            memory[way] = max(memory[way], answer["peak_memory_gib"])
    median = {way: statistics.median(values) for way, values in times.items() if values}
    print("whole CKTF step, WRN-40-2 to WRN-16-2, five pairs")
    print(f"  {PYTORCH:18} that has trained one small layer: peak memory of the process {memory[PYTORCH]:.2f} GiB")
    for way, seconds_of_way in median.items():
        print(f"  {way:18} {seconds_of_way * 1e3:7.0f} ms, peak memory of the process {memory[way]:.2f} GiB")
    above = {way: peak - memory[PYTORCH] for way, peak in memory.items()}
    for ours, theirs in (
        ("contrast", "gather"),
        ("contrast" + BFLOAT16, "gather" + BFLOAT16),
        ("contrast" + BFLOAT16, "gather"),
    ):
        print(
            f"  {theirs} / {ours}: {median[theirs] / median[ours]:.1f} x the time, "
            f"{memory[theirs] / memory[ours]:.1f} x the memory of the process, "
            f"{above[theirs] / above[ours]:.1f} x above PyTorch ({above[ours]:.2f} GiB)"
        )
    shared = median[ONCE] + median[TEACHER] / ARMS
    print(
        f"  gather / contrast with the teacher's pass shared by {ARMS} arms ({shared * 1e3:.0f} ms): "
        f"{median['gather'] / shared:.1f} x the time"
    )
    own_time, own_memory = (
        {way: figure[way] - figure["networks"] for way in ("contrast", "gather")} for figure in (median, memory)
    )
    banks = SIDES * sizes.num_samples * sizes.dim * 4 / GIB
    print(
        f"  gather / contrast above the networks alone: {own_time['gather'] / own_time['contrast']:.1f} x the time, "
        f"{own_memory['gather'] / own_memory['contrast']:.1f} x the memory "
        f"({own_memory['contrast']:.2f} GiB, of which banks {banks:.2f})"
    )


def main() -> None:
    """Measure and print; with ``--way`` only one way's steps, as JSON for the parent process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=10, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = Sizes()
    if arguments.way:
        times = step_times(arguments.way, sizes, arguments.steps)
        print(json.dumps({"seconds": times, "peak_memory_gib": peak_memory_gib()}))
        return
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {arguments.threads} threads, torch {torch.__version__}")
    print(f"{sizes}, float32")
    side = OneSide(sizes)
    sources(side, one_side(side))
    whole_step(sizes, arguments.threads)


if __name__ == "__main__":
    main()
