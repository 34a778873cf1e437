"""A trial as it is sent to a slot, and the results that are sent back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from cktf.cluster.nodes import TrialResources
from cktf.rows import EpochResult, PlannedRow, Stage, Status
from cktf.storage import Storage
from cktf.trainer.checkpoint import trial_storage
from cktf.trainer.train import TrainOptions


@dataclass(frozen=True)
class Assignment:
    """One trial as it is sent to a slot: plain values, because Tune copies and saves them many times.

    Attributes:
        trial_id: The trial.
        configuration: Its `TrialConfig`, as JSON.
        options: Its `TrainOptions`, as JSON.
        run: Root of the run directory, as every node of the cluster sees it.
        patience: Seconds for which what fails in a bucket is tried again.
        plugins: Name to version of each plug-in of the study, as JSON.
        workers: Processes that train it; a teacher is trained by one of them.
        cpus: CPUs of each worker.
        gpus: GPUs of each worker.
        is_teacher: Whether the trial trains a teacher.
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
    """End of a training, as its worker reports it.

    Attributes:
        status: Complete or failed.
        reason: Why it failed; of a complete teacher, where it was found.
        device: ``cpu`` or the GPU's name.
        node: Name of the machine.
        is_error: Whether it failed by an error, which other trials may meet too, and not by a loss that is not finite.
        is_storage: Whether that error is trouble of the storage, of which the trial is tried again.
    """

    status: Status
    reason: str = ""
    device: str = ""
    node: str = ""
    is_error: bool = False
    is_storage: bool = False


Outcome = EpochResult | TrialEnd
"""Result of one step of a training."""
