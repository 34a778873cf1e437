"""One training step: run eagerly, or recorded once and then replayed as a CUDA graph.

A graph launches all of a step at once: teacher, student, losses, gradients, optimizer and means. It repeats what was
recorded on the same memory, so its inputs lie in buffers that are filled before each replay, with the numbers that
objectives draw for a batch among them (see `Objective.draws`). A step is recorded if

    the batch is whole, of one worker, and makes one step of the optimizer
    nothing in it reads the number of its batch or epoch, or draws random numbers
    nothing in it changes an attribute of a module that is no tensor
    the GPU's memory holds the step twice: a graph has memory of its own

and if its first replays leave the same state as eager steps, up to rounding: these steps are made both ways, and the
eager result stays. All other steps run eagerly.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.data import TrainLoader
from cktf.objectives import WeightedSum
from cktf.trainer.average import Average
from cktf.trainer.distributed import Workers
from cktf.trainer.optimizer import accumulated
from cktf.trainer.phases import LiveTeacher, Phase, ReadTeacher
from cktf.trainer.recording import Moment, NotRecorded, Recorder, Unknown, recorder_of

EAGER_STEPS = 3
"""Steps of a phase before one is recorded: they fix Z, make the optimizer's state and choose algorithms."""

LARGEST_DIFFERENCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""Largest difference of a replayed step from the eager one, as a share of what the step changes, by the precision of
the networks: convolutions need not add up in the same order."""

COMPARED_STEPS = 2
"""Replays that are compared with eager steps, on other batches than the recorded one."""

Teach = Callable[[], Activations | None]
"""Returns the teacher's activations of a batch; None if none are read."""

Observe = Callable[[dict[str, Tensor]], None]
"""Receives the terms of a step, with their graph, before its gradients are taken."""


class Step:
    """Trains a phase's student by batches; no step waits for a value from the device.

    ``autocast`` is that of both networks' forward. Where steps are recorded, which ``is_eager`` forbids, the learning
    rates of the phase's optimizer become tensors.

    Attributes:
        means: Means of the loss, the terms and the accuracy over the steps since `begin_epoch`.
        replayed: Number of steps since then that were replayed.
    """

    def __init__(
        self,
        phase: Phase,
        loader: TrainLoader,
        objective: WeightedSum,
        optimizer: torch.optim.Optimizer,
        average: Average | None,
        autocast: torch.autocast,
        workers: Workers,
        *,
        is_eager: bool,
    ) -> None:
        self.phase, self.loader, self.optimizer = phase, loader, optimizer
        self.average, self.autocast, self.workers = average, autocast, workers
        self.accumulate = phase.optimizer.accumulate
        self.device = loader.dataset.device
        self.means = RunningMeans()
        self.replayed = 0
        self._modules = [part for of in (phase.student, objective) if of for part in of.modules()]
        may_record = not is_eager and workers.size == 1 and self.accumulate == 1
        self._recorder = recorder_of(self.device) if may_record else None
        self._is_fused = phase.loss is objective and objective.is_fused(self.device)
        self._whole_steps = 0
        self._read: ReadTeacher | None = None
        self._recorded_read: ReadTeacher | None = None
        self._buffers: dict[tuple[str, Any], Tensor] = {}
        self._replay: Callable[[], None] | None = None
        self._to_compare = 0

    @property
    def way(self) -> str:
        """How the steps since `begin_epoch` ran, as in `EpochResult.step`."""
        return ("graph" if self.replayed else "eager") + ("+fused" if self._is_fused else "")

    def begin_epoch(self, rate: float, read_teacher: ReadTeacher | None) -> None:
        """Set the learning rate and how the teacher is read in this epoch, and reset the means."""
        for group in self.optimizer.param_groups:
            of_group = rate * group.get("factor", 1.0)
            if self._recorder is None:
                group["lr"] = of_group
            elif isinstance(group["lr"], Tensor) and group["lr"].device == self.device:
                group["lr"].fill_(of_group)
            else:
                # As CUDA's fused optimizers read it; a number of Python has 64 bits.
                precision = torch.float32 if self.device.type == "cuda" else torch.float64
                group["lr"] = torch.tensor(of_group, dtype=precision, device=self.device)
                if "capturable" in group:
                    group["capturable"] = self.device.type == "cuda"
        self.means.clear()  # in their memory, which a recording adds to
        self.replayed = 0
        self._read = read_teacher

    def __call__(self, batch: Batch, observe: Observe | None = None) -> None:
        """Train on one batch; with ``observe`` eagerly."""
        epochs_before, order = divmod(batch.step, len(self.loader))
        share, is_last = accumulated(order, self.loader.num_samples, self.loader.batch_size, self.accumulate)
        is_whole = len(batch.labels) == self.loader.batch_size
        self._whole_steps += is_whole
        if not (is_whole and observe is None and self._train_by_recording(batch)):
            self._run(batch, self._teach(batch), share, order % self.accumulate == 0, is_last, observe)
        self.means.samples += len(batch.labels)
        if is_last and self.average:
            steps_before = epochs_before * -(-len(self.loader) // self.accumulate)
            self.average.update(steps_before + order // self.accumulate)

    def _teach(self, batch: Batch) -> Teach:
        images = batch.images if batch.teacher_images is None else batch.teacher_images
        read = self._read
        return lambda: read(images.contiguous(memory_format=torch.channels_last), batch) if read else None

    def _run(
        self,
        batch: Batch,
        teach: Teach,
        share: float = 1.0,
        is_first: bool = True,
        is_last: bool = True,
        observe: Observe | None = None,
    ) -> None:
        """Train eagerly on a batch: by default one step, else a ``share`` of one, maybe its first or last batch."""
        phase, images = self.phase, batch.images.contiguous(memory_format=torch.channels_last)
        with self.autocast:
            of_teacher = teach()
            of_student = phase.student(images) if phase.student else None
            loss, terms = phase.loss(of_student, of_teacher, batch)
        if observe:
            observe(terms)
        if is_first:
            self.optimizer.zero_grad(set_to_none=True)
        weight = batch.share * share
        torch.autograd.backward(loss if weight == 1 else loss * weight)
        if is_last:
            self.workers.sum_gradients(phase.parameters)
            if phase.optimizer.clip_norm is not None:
                nn.utils.clip_grad_norm_(phase.parameters, phase.optimizer.clip_norm)
            self.optimizer.step()
        observed = {"loss": loss, **terms}
        if of_student and phase.is_scored:
            observed["correct"] = share_correct(of_student.logits, batch)
        self.means.add(observed, len(batch.labels))

    def _train_by_recording(self, batch: Batch) -> bool:
        """Return whether the batch was trained on by the recording, which is made first when it is time."""
        if self._recorder is None or self._whole_steps <= EAGER_STEPS:
            return False
        # A live teacher runs within the recording. Stored readings, whose tables differ by epoch, are inputs.
        live = self._read if isinstance(getattr(self._read, "__self__", None), LiveTeacher) else None
        replay = self._replay if live == self._recorded_read else None
        is_trusted = replay is not None and not self._to_compare
        moment = None
        try:
            if is_trusted:
                self._fill(batch)
            else:
                moment = Moment(self._state(), self._modules, self.device)
                if replay:
                    self._compare(batch, moment, replay)
                else:
                    self._recorded_read = live
                    self._record(batch, moment, self._recorder)
        except Exception as error:  # whatever a driver raises: an eager step needs none of it
            _log_once(str(error) if isinstance(error, NotRecorded) else f"{type(error).__name__}: {error}")
            self._recorder = self._replay = None
            self._buffers = {}
            if moment:  # else the memory did not hold the copy, or the batch did not fit into the recording
                moment.restore()
            return False
        if replay and is_trusted:  # a fault here is raised: the state may have changed, so no other step can follow
            replay()
            self.replayed += 1
        return True

    def _record(self, batch: Batch, before: Moment, recorder: Recorder) -> None:
        """Train on a batch eagerly from the buffers, and record the same step."""
        self._buffers = {key: value.clone() for key, value in self._inputs(batch).items()}
        of: dict[str, dict[Any, Tensor]] = {"batch": {}, "drawn": {}, "read": {}}
        for (kind, name), buffer in self._buffers.items():
            of[kind][name] = buffer
        known: dict[str, Any] = {"step": Unknown(), "epoch": Unknown(), "drawn": of["drawn"], **of["batch"]}
        placeholder = replace(batch, **known)
        readings = Activations.of_readings(of["read"])
        teach: Teach = (lambda: readings) if of["read"] else self._teach(placeholder)
        recorder.rehearse(lambda: self._run(placeholder, teach))
        before.require_pure()
        after = Moment(self._state(), self._modules, self.device)
        self._replay = recorder.record(lambda: self._run(placeholder, teach))
        after.restore()
        self._to_compare = COMPARED_STEPS

    def _compare(self, batch: Batch, before: Moment, replay: Callable[[], None]) -> None:
        """Train on a batch by the recording and then, from the same state, eagerly; raise where the two differ."""
        self._fill(batch)
        replay()
        replayed = Moment(self._state(), self._modules, self.device)
        before.restore()
        self._run(batch, self._teach(batch))
        precision = torch.bfloat16 if self.autocast._enabled else torch.float32
        for part, difference in before.differences(replayed).items():
            if not difference <= LARGEST_DIFFERENCE[precision]:
                raise NotRecorded(f"replayed, its {part} differ by {difference:.1g} of what an eager step changes")
        self._to_compare -= 1

    def _inputs(self, batch: Batch) -> dict[tuple[str, Any], Tensor]:
        """Return the tensors that a recorded step reads of a batch: its own, drawn numbers, and stored readings."""
        own = ((("batch", part.name), getattr(batch, part.name)) for part in fields(batch))
        inputs: dict[tuple[str, Any], Tensor] = {key: value for key, value in own if isinstance(value, Tensor)}
        if self.phase.draws:
            inputs |= {("drawn", part): value for part, value in self.phase.draws(batch).items()}
        if self._read and not self._recorded_read:
            with self.autocast:
                activations = self._teach(batch)()
            assert activations is not None
            inputs |= {("read", name): value for name, value in activations.readings.items()}
        return inputs

    def _fill(self, batch: Batch) -> None:
        inputs = self._inputs(batch)
        if any(value.shape != inputs[key].shape for key, value in self._buffers.items()):
            raise NotRecorded("its inputs change their shapes")
        torch._foreach_copy_(list(self._buffers.values()), [inputs[key] for key in self._buffers])

    def _state(self) -> dict[str, list[Tensor]]:
        """Return all tensors that a step changes."""
        of_optimizer = [value for of in self.optimizer.state.values() for value in of.values()]
        return {
            "parameters": [own.detach() for part in self._modules for own in part.parameters(recurse=False)],
            "buffers": [own for part in self._modules for own in part.buffers(recurse=False)],
            "optimizer's averages": [value for value in of_optimizer if isinstance(value, Tensor)],
            "losses": self.means.sums,
        }


@cache
def _log_once(reason: str) -> None:
    """Log once in a process why steps are not recorded."""
    logging.getLogger(__name__).warning("training steps run eagerly, not as a CUDA graph: %s", reason)


class RunningMeans:
    """Means of named scalars over batches, weighted by batch size; the caller of `add` counts the ``samples``.

    Reading a value at every step would make the CPU wait for the GPU, so sums stay on the device until `result`.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._sums: dict[tuple[str, ...], Tensor] = {}

    @property
    def sums(self) -> list[Tensor]:
        """The sums, float64, of the values that are added together."""
        return list(self._sums.values())

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor], samples: int) -> None:
        """Add the scalar means of one batch of that many samples."""
        weighted = torch.stack([*values.values()]).double() * samples
        if (names := tuple(values)) in self._sums:
            self._sums[names].add_(weighted)
        else:
            self._sums[names] = weighted

    def clear(self) -> None:
        """Set all sums to zero, in the same memory."""
        self.samples = 0
        for values in self.sums:
            values.zero_()

    def result(self, workers: Workers) -> tuple[dict[str, float], int]:
        """Return the means over all workers' samples, and the number of samples."""
        sums = self.sums
        *totals, samples = workers.sum(torch.cat([*sums, sums[0].new_full((1,), self.samples)])).tolist()
        means: dict[str, float] = {}
        for name, total in zip((name for names in self._sums for name in names), totals, strict=True):
            means[name] = means.get(name, 0.0) + total / samples
        return means, round(samples)


def share_correct(logits: Tensor, batch: Batch) -> Tensor:
    """Return the share of correct predictions, a scalar, float64; mixed images count by the shares of their labels."""
    predicted = logits.argmax(dim=1)
    return batch.by_shares(lambda labels: (predicted == labels).double())
