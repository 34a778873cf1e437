"""The teacher of a phase, run once for all trials that need the same outputs.

All arms of a study see the same images at one seed and epoch, and the teacher is frozen. If a trial's objectives read
only vectors of it (logits, penultimate, pooled maps: their `Reading`s), the first trial that reaches an epoch runs the
teacher over its batches and writes the values to files below ``$CKTF_CACHE/readings``; other trials wait and map them.
Without augmentation, and if no reading depends on the batch, one pass over all images serves all seeds and epochs.

Values are rounded to float16, whether a trial found the files, wrote them or could not write them, so that its results
do not depend on the cache. The rounding is unbiased, but a long training can amplify it: hence the live teacher is the
default, and ``teacher_once: true``, which is not part of a trial's identity, must be set when the run is launched.

The teacher runs live, unrounded, if an objective reads whole maps, images are generated, or a trial has several
workers; in epochs with values that float16 cannot hold; and in epochs whose files do not fit within ``$CKTF_CACHE_GB``
beside those of earlier ones, which they would displace before the next trial needs them. So that limit must not change
during a run. `benchmarks/teacher_once.py` measures what is gained.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Reading
from cktf.data import Augmentation, TrainLoader, evaluation_batches
from cktf.storage import cache_directory
from cktf.trainer.config import TrialConfig
from cktf.trainer.phases import LiveTeacher, Phase, PhaseTeacher, ReadTeacher, Teacher
from cktf.trial.reading_files import ReadingFiles, batches_of, digest_of, identity_of, size_limit

_NOT_AUGMENTED = Augmentation(crop=0, flip=False)


class TeacherOnce:
    """A teacher whose outputs are read from files that trials share.

    ``identity`` is everything that determines the values except the batches, ``epochs`` the phase's number of epochs.
    In epochs after ``shared_epochs``, for which the files have no room, the teacher is live.
    """

    def __init__(
        self,
        network: nn.Module,
        readings: tuple[Reading, ...],
        loader: TrainLoader,
        autocast: torch.autocast,
        identity: Mapping[str, Any],
        epochs: int,
        files: ReadingFiles,
    ) -> None:
        self.network = network
        self.live = LiveTeacher(network, readings)
        self.readings = readings
        self.loader = loader
        self.autocast = autocast
        self.files = files
        num_images, num_samples = len(loader.dataset.train_images), len(loader.rows)
        depends_on_batch = any(reading.of_batch for reading in readings)
        # A pass over all images must not cost more than the trial's own passes would.
        is_cheap = num_images <= epochs * num_samples
        self.is_static = loader.augmentation == _NOT_AUGMENTED and not depends_on_batch and is_cheap
        self.num_rows = num_images if self.is_static else num_samples
        self.pass_bytes = 2 * self.num_rows * sum(reading.shape.numel() for reading in readings)
        num_passes = files.limit // self.pass_bytes
        self.shared_epochs = epochs if self.is_static and num_passes else min(epochs, num_passes)
        batches = {"all images, by": loader.batch_size} if self.is_static else batches_of(loader)
        self.folder = digest_of({**identity, "batches": batches})
        self._static: ReadTeacher | None = None

    def epoch(self, epoch: int) -> ReadTeacher:
        """Return the function that reads the values of an epoch's batches; missing files are computed first."""
        if epoch > self.shared_epochs:
            return self.live.epoch(epoch)
        if not self.is_static:
            return self._reader(f"{self.folder}/{epoch}", epoch)
        if self._static is None:
            self._static = self._reader(f"{self.folder}/all", epoch)
        return self._static

    def _reader(self, place: str, epoch: int) -> ReadTeacher:
        device = self.loader.dataset.device
        # The whole table is copied to a GPU, so that no batch waits for its rows.
        tables = {reading: table.to(device) for reading, table in self._tables(place, epoch).items()}
        if not all(bool(table.isfinite().all()) for table in tables.values()):
            return self.live.epoch(epoch)
        return reads(tables, self.loader.rows.to(device) if self.is_static else None)

    def _tables(self, place: str, epoch: int) -> dict[Reading, Tensor]:
        found = self._read(place)
        if len(found) < len(self.readings):
            with self.files.turn(place):
                found = self._read(place)
                if missing := [reading for reading in self.readings if reading not in found]:
                    found |= self._computed(missing, epoch)
                    for reading in missing:
                        self.files.write(_name(place, reading), found[reading])
                    found |= self._read(place)  # mapped files replace the tables in memory
        return {reading: found[reading] for reading in self.readings}

    def _read(self, place: str) -> dict[Reading, Tensor]:
        sizes = {reading: (_name(place, reading), self.num_rows, reading.shape.numel()) for reading in self.readings}
        return {reading: table for reading, size in sizes.items() if (table := self.files.read(*size)) is not None}

    def _computed(self, readings: Iterable[Reading], epoch: int) -> dict[Reading, Tensor]:
        """Return the values of all batches; rows of samples that are in no batch stay 0."""
        tables = {of: torch.zeros(self.num_rows, of.shape.numel(), dtype=torch.float16) for of in readings}
        read = LiveTeacher(self.network, tuple(tables)).epoch(epoch)
        for batch in self._all_images() if self.is_static else self.loader.epoch(epoch):
            with self.autocast:
                images = batch.images if batch.teacher_images is None else batch.teacher_images
                found = read(images.contiguous(memory_format=torch.channels_last), batch).readings
            rows = batch.index.cpu()
            for reading, table in tables.items():
                values = found[reading.name].flatten(1)
                table.index_copy_(0, rows, values.to(device="cpu", dtype=torch.float16))
        return tables

    def _all_images(self) -> Iterable[Batch]:
        index = torch.arange(self.num_rows)
        size = self.loader.batch_size
        batches = evaluation_batches(self.loader.dataset, index, batch_size=size)
        for (images, labels), rows in zip(batches, torch.split(index, size), strict=True):
            yield Batch(images=images, labels=labels, index=rows, step=0)


def reads(tables: Mapping[Reading, Tensor], row_of: Tensor | None = None) -> ReadTeacher:
    """Return a function that looks up the teacher's values in tables (rows, numbers), float16, on the device.

    ``row_of`` (samples,), int64, is the row of each sample; None: its own index.
    """

    def read(images: Tensor, batch: Batch) -> Activations:  # noqa: ARG001
        rows = batch.index if row_of is None else row_of[batch.index]
        values = {of.name: table.index_select(0, rows).float().view(-1, *of.shape) for of, table in tables.items()}
        return Activations.of_readings(values)

    return read


def shared_teacher(config: TrialConfig) -> PhaseTeacher:
    """Return the function that gives each phase of a trial its `TeacherOnce`, or a live teacher where it cannot."""
    files = ReadingFiles(cache_directory() / "readings", size_limit())

    def teacher_of(phase: Phase, loader: TrainLoader, autocast: torch.autocast) -> Teacher | None:
        if phase.teacher is None:
            return None
        if phase.readings is None or loader.world_size > 1 or config.data.generated:
            return LiveTeacher(phase.teacher, phase.readings)
        identity = identity_of(phase.teacher, loader, config)
        shared = TeacherOnce(phase.teacher, phase.readings, loader, autocast, identity, phase.epochs, files)
        if shared.shared_epochs < phase.epochs:
            logging.getLogger(__name__).warning(
                "the teacher runs live after epoch %d of %d: what is read of it in one takes %.2f GB, and "
                "$CKTF_CACHE_GB allows %.1f in all",
                shared.shared_epochs,
                phase.epochs,
                shared.pass_bytes / 10**9,
                files.limit / 10**9,
            )
        return shared

    return teacher_of


def _name(place: str, reading: Reading) -> str:
    return f"{place}-{digest_of(reading.name)}"
