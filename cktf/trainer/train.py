"""The training loop: trains one student and yields the `EpochResult` of each epoch."""

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.data import Dataset, evaluation_batches, split, with_noise
from cktf.epoch_result import EpochResult
from cktf.measures import OfPredictions
from cktf.measures.registry import built
from cktf.seeding import derive
from cktf.settings import Settings
from cktf.storage import Storage
from cktf.trainer.assembly import assemble
from cktf.trainer.average import Average
from cktf.trainer.checkpoint import Checkpoint, CheckpointWriter, save_student
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.evaluate import Evaluation, evaluate, images_at_once
from cktf.trainer.health import Health, HealthConfig
from cktf.trainer.measuring import Measuring, packed
from cktf.trainer.optimizer import build_optimizer, learning_rate
from cktf.trainer.phases import MAIN, Phase, PhaseTeacher, Teacher, live_teacher
from cktf.trainer.step import Step
from cktf.trainer.stored_student import AboutStudent


class TrainOptions(Settings):
    """How a trial is run; passed as one value from the study to the training loop."""

    name: str = ""
    """Name of the study, for the stored student's file."""

    read_test: bool = False
    """Evaluate the test split once, after the last epoch."""

    teacher_once: bool = False
    """Share the teacher's outputs between trials, rounded to float16; see `cktf.trial.teacher_once`."""

    health: HealthConfig | None = None
    """How often the health of the distillation is measured; None: never. A teacher that no objective needs
    is then run to be compared with the student."""

    measures: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name to settings of each further measure of the student; see `cktf.measures`."""

    keep_logits: bool = False
    """Store the logits of the validation split and of the test split, if it is read, after the last epoch."""

    teacher_is_scored: bool = False
    """Whether the accuracy of a teacher from a file is known already; otherwise it is measured on the trial's
    validation split before training."""

    step: Literal["auto", "eager"] = "auto"
    """Whether steps may be replayed as CUDA graphs; see `cktf.trainer.step`."""

    checkpoint_seconds: float = 60
    """Least time between two checkpoints within a phase, whose last epoch always has one; 0: one after each epoch."""

    deterministic: bool = False
    """Train with deterministic algorithms only; see `cktf.study.spec.StudySpec.deterministic`."""

    @property
    def reads_teacher(self) -> bool:
        """Whether health or a measure reads the teacher, even if no objective does."""
        measures = built(self.measures).values()
        return self.health is not None or any(isinstance(m, OfPredictions) and m.needs_teacher for m in measures)


class TrainingFailed(RuntimeError):  # noqa: N818  # it names what happened to the trial
    """A trial cannot continue; the message is the reason in its row."""


def train(
    config: TrialConfig,
    dataset: Dataset,
    teacher: nn.Module | None,
    options: TrainOptions,
    *,
    phase_teacher: PhaseTeacher = live_teacher,
    place: Storage | None = None,
    checkpoint: Checkpoint | None = None,
    initial: Callable[[nn.Module], None] | None = None,
    workers: Workers | None = None,
) -> Iterator[EpochResult]:
    """Train one student and yield the result of each epoch.

    Checkpoints are written as ``options`` say, beside the training; the last one before the last result is yielded.

    Args:
        config: The trial.
        dataset: The student's data set, on the device that trains.
        teacher: The frozen teacher on that device; None if the trial runs none (`TrialConfig.runs_teacher`).
        options: How the trial is run.
        phase_teacher: Returns the teacher of each phase.
        place: The trial's folder, for the checkpoint and the student's weights; None writes nothing.
        checkpoint: Checkpoint to resume from; its epochs are yielded first.
        initial: Loads the file of the student's initial parameters into it; None if it has none.
        workers: The workers of this trial; None: those that Ray Train has registered with PyTorch.

    Raises:
        TrainingFailed: If the loss is no longer finite.
        InputError: If networks, images and objectives do not fit together.
    """
    device = dataset.device
    workers = workers or Workers.current()
    history = checkpoint.history if checkpoint else []
    writer = CheckpointWriter(place if workers.rank == 0 else None, options.checkpoint_seconds)
    precision = config.precision_on(device.type)
    yield from tuple(history)
    parts = split(dataset.train_labels, config.data, config.seed)
    dataset = with_noise(dataset, parts.train_index, config.data.noise, config.seed)
    if device.type == "cuda":
        # This process may have trained other trials before, and this trial's teacher.
        torch.cuda.reset_peak_memory_stats(device)
    network, objective, phases = assemble(config, dataset, parts, teacher, initial=None if checkpoint else initial)
    if checkpoint:
        network.load_state_dict(checkpoint.student)
        if checkpoint.objective:
            objective.load_state_dict(checkpoint.objective)

    bfloat16 = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    measured_teacher = teacher if config.task == "distill" else None
    shapes, shard = objective.given, max(1, config.batch_size // workers.size)
    at_once = images_at_once(shapes.student, shard), images_at_once(shapes.teacher, shard)
    measuring = Measuring(options.measures, options.keep_logits, measured_teacher, dataset, parts, at_once)
    current: Phase | None = None
    of_phase: Teacher | None = None
    monitor: Health | None = None
    average: Average | None = None
    epochs = [(phase, epoch) for phase in phases for epoch in range(1, phase.epochs + 1)]
    for number, (phase, epoch) in enumerate(epochs, start=1):
        if number <= len(history):
            continue
        if phase is not current:
            current = phase
            optimizer = build_optimizer(phase.optimizer, phase.parameters, phase.heads)
            if config.ema is not None and phase.name == MAIN[config.task]:
                average = Average(network, config.ema)
            if checkpoint and history[-1].phase == phase.name:
                optimizer.load_state_dict(checkpoint.optimizer)
                if average:
                    average.network.load_state_dict(checkpoint.average)
            checkpoint = None
            loader = phase.loader(workers)
            of_phase = phase_teacher(phase, loader, bfloat16)
            is_eager = options.step == "eager"
            step = Step(phase, loader, objective, optimizer, average, bfloat16, workers, is_eager=is_eager)
            monitor = None
            if options.health and phase.name == MAIN[config.task]:
                monitor = Health(options.health, phase, config, objective, teacher, dataset, parts)
        started = time.perf_counter()
        rate = learning_rate(phase.optimizer, epoch, phase.planned_epochs)
        averaged = average.network if average else None
        trained = [student for student in (phase.student, averaged) if student]
        for student in trained:
            student.train()
        objective.begin_epoch(epoch, phase.planned_epochs)
        step.begin_epoch(rate, of_phase.epoch(epoch) if of_phase else None)
        measured, measures = dict[str, float](), dict[str, float]()
        due = monitor if monitor and monitor.is_due(epoch) else None
        with (
            _network_stream(device, phase.seed, epoch, workers.rank),
            _algorithms(deterministic=options.deterministic),
            workers.shared_batch_norm(is_asked=config.sync_batch_norm),
        ):
            for order, batch in enumerate(loader.epoch(epoch)):
                observe = partial(_gradient_norms, due, measured, batch, workers) if due and order == 0 else None
                step(batch, observe)
        for student in trained:
            workers.average_buffers(student)
        values, num_samples = step.means.result(workers)
        train_seconds = time.perf_counter() - started
        if not math.isfinite(values["loss"]):
            raise TrainingFailed(f"the loss is {values['loss']} in epoch {number}")
        is_last = number == config.total_epochs
        scores: dict[str, Any] = {"validation_loss": None, "validation_accuracy": None}
        judged, other = (averaged, network) if averaged and config.judge == "ema" else (network, averaged)
        # Always in float32: in bfloat16 logits tie, and accuracies move by tenths.
        if phase.is_scored:
            validation, measures = measuring.evaluated(judged, "validation", is_last=is_last)
            scores |= _scores("validation", validation)
            if other:
                batches = evaluation_batches(dataset, parts.validation_index, batch_size=at_once[0])
                scores |= _scores("other_validation", evaluate(other, batches))
            # After the epoch's last step, whose effect is in no training loss.
            for value in scores.values():
                if not math.isfinite(value):
                    raise TrainingFailed(f"the validation loss is {value} after epoch {number}")
        if due:
            with bfloat16:
                measured |= due.on_validation()
        if phase.reads_objective:
            measured |= objective.learned()
        if options.read_test and is_last:
            test, on_test = measuring.evaluated(judged, "test", is_last=is_last)
            measures |= on_test
            scores |= _scores("test", test) | {"test_images": len(test.correct), "test_correct": packed(test.correct)}
        accuracy = values.pop("correct", None)
        result = EpochResult(
            epoch=number,
            phase=phase.name,
            learning_rate=rate,
            train_loss=values.pop("loss"),
            train_accuracy=None if accuracy is None else 100 * accuracy,
            **scores,
            epoch_seconds=time.perf_counter() - started,
            samples_per_second=num_samples / train_seconds,
            step=step.way,
            precision=precision,
            peak_memory_gib=_peak_memory_gib(device),
            terms=values,
            health=measured,
            measures=measures,
        )
        history.append(result)
        if place and is_last and workers.rank == 0:
            about = AboutStudent.of(config, dataset, shapes.student.logits.numel(), options.name)
            save_student(place, judged, about.metadata())
            measuring.save_logits(place)
        if writer.is_due(is_end=epoch == phase.epochs):
            started = time.perf_counter()
            of_objective = objective.state_dict() if phase.reads_objective else {}
            states = network.state_dict(), of_objective, optimizer.state_dict()
            writer.write(Checkpoint(*states, history, averaged.state_dict() if averaged else {}))
            if is_last:
                writer.wait()
            history[-1] = result = replace(result, checkpoint_seconds=time.perf_counter() - started)
        with writer.ends_with_training():
            yield result


def _scores(split: str, found: Evaluation) -> dict[str, float]:
    return {f"{split}_loss": found.loss, f"{split}_accuracy": found.accuracy}


def only_deterministic_products() -> None:
    """Make cuBLAS deterministic, for `TrainOptions.deterministic`; call it before PyTorch's first product."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _gradient_norms(
    monitor: Health, measured: dict[str, float], batch: Batch, workers: Workers, terms: dict[str, Tensor]
) -> None:
    measured |= monitor.gradient_norms(terms, batch.share, workers)


@contextmanager
def _network_stream(device: torch.device, seed: int, epoch: int, rank: int) -> Iterator[None]:
    # Dropout and stochastic depth draw from PyTorch's global stream, which is seeded for them and restored.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        key = derive(seed, "network", epoch, rank)
        torch.default_generator.manual_seed(key)
        if device.type == "cuda":
            with torch.cuda.device(device):  # it need not be the current one
                torch.cuda.manual_seed(key)
        yield


@contextmanager
def _algorithms(*, deterministic: bool) -> Iterator[None]:
    """Let cuDNN time its algorithms, since shapes are the same in each step; or allow only deterministic ones."""
    cudnn, before = torch.backends.cudnn, torch.get_deterministic_debug_mode()
    tries = cudnn.benchmark
    cudnn.benchmark = not deterministic
    torch.set_deterministic_debug_mode("error" if deterministic else before)
    try:
        yield
    finally:
        cudnn.benchmark = tries
        torch.set_deterministic_debug_mode(before)


def _peak_memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    # The largest memory of the process, which may have trained other trials before.
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**30 if sys.platform == "darwin" else 2**20)  # Linux counts in KiB
