"""A trial as it is sent to a slot, and the results that are sent back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from cktf.cluster.nodes import TrialResources
from cktf.epoch_result import EpochResult
from cktf.rows import PlannedRow, Stage, Status
from cktf.storage import Storage
from cktf.trainer.checkpoint import trial_storage
from cktf.trainer.train import TrainOptions


@dataclass(frozen=True)
class Assignment:
    """One trial as it is sent to a slot: plain values, because Tune copies and saves them many times.

    ``configuration`` (a `TrialConfig`), ``options`` (`TrainOptions`) and ``plugins`` (name to version) are JSON.
    ``run`` is the root of the run directory, as every node of the cluster sees it, ``patience`` that of its storage.
    ``cpus`` and ``gpus`` are those of each worker; a teacher is trained by one worker.
    """

    trial_id: str
    configuration: str
    options: str
    run: str
    patience: float
    plugins: str
    workers: int
    cpus: float
    gpus: float
    is_teacher: bool = False

    @classmethod
    def of(
        cls, row: PlannedRow, run: Storage, trial: TrialResources, options: TrainOptions, plugins: Mapping[str, str]
    ) -> Self:
        """Return the assignment of a planned trial."""
        return cls(
            trial_id=row.trial_id,
            configuration=json.dumps(row.config),
            options=options.model_dump_json(),
            run=run.root,
            patience=run.patience,
            plugins=json.dumps(plugins),
            is_teacher=row.stage == Stage.TEACHER,
            **asdict(trial),
        )

    @property
    def run_storage(self) -> Storage:
        """The run directory."""
        return Storage(self.run, self.patience)

    @property
    def folder(self) -> Storage:
        """The trial's folder within its run."""
        return trial_storage(self.run_storage, self.trial_id)


@dataclass(frozen=True)
class TrialEnd:
    """End of a training, complete or failed, as its worker reports it: the columns of an `EndRow` that it knows.

    For a teacher that did not have to be trained, ``reason`` is where it was found. ``is_error``: the training failed
    by an error, which other trials may meet too, and not by a loss that is not finite. ``is_storage``: it failed by
    trouble of the storage, so it is tried again.
    """

    status: Status
    reason: str = ""
    device: str = ""
    node: str = ""
    is_error: bool = False
    is_storage: bool = False


Outcome = EpochResult | TrialEnd
"""Result of one step of a training."""
