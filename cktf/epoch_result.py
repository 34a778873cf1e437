"""What a training tells after each epoch; the ledger's `cktf.rows.EpochRow` is this with its trial and time."""

from dataclasses import dataclass, field

MEASURE = "measure."
"""Prefix of the columns of tables that hold the numbers of `EpochResult.measures`."""


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Results of one epoch of training.

    Attributes:
        epoch: Number of the epoch, from 1, over all phases.
        phase: ``train``; in a transfer ``transfer`` and then ``probe``; or the objective whose initial phase it is.
        learning_rate: Learning rate of the epoch.
        train_loss: Weighted sum of the objectives, mean over the epoch's samples.
        train_accuracy: Top-1, per cent, on the augmented training batches; None, as the next two, in a phase that does
            not train the student's classifier or has no labels.
        validation_loss: Mean cross-entropy.
        validation_accuracy: Top-1, per cent.
        other_validation_loss: In a trial that averages its student's weights: mean cross-entropy of the network that is
            not judged, the average or, with ``judge: ema``, the student itself; None otherwise.
        other_validation_accuracy: Its top-1, per cent.
        test_loss: Mean cross-entropy; None except at the last epoch of a trial that may read the test split.
        test_accuracy: Top-1, per cent; None likewise.
        test_images: Images of the test split; None likewise.
        test_correct: Which images of the test split are classified correctly: one bit each, in the split's order, the
            highest bit of a byte first, as base64; empty likewise, and in ledgers of older versions.
        epoch_seconds: Wall time of the epoch, evaluation included.
        samples_per_second: Training samples per second, without evaluation but with measured gradients.
        step: How the training's steps ran: ``eager``, or ``graph`` where some were replayed as a CUDA graph (see
            `cktf.trainer.step`), with ``+fused`` if a fused kernel took contrasts; empty in ledgers of older versions.
        checkpoint_seconds: Time for which training waited for a checkpoint after the epoch: while the state was copied
            and the previous checkpoint was still being written; for the last one, until it was written.
        precision: ``float32`` or ``bfloat16``, of the networks in training; empty in ledgers of older versions.
        peak_memory_gib: Largest memory so far: on a GPU that of the trial; on a CPU the resident memory of the process,
            which may have trained other trials before.
        terms: Name of each objective's term (``cktf.stage1``) to its unweighted mean over the epoch.
        health: Diagnostics (``agreement``, ``cka.stage1``, ``gap.cktf.stage1.teacher``, ...; see
            `cktf.trainer.health`), those measured in this epoch; and in each epoch the numbers that are learned
            (``learned.kd.temperature``).
        measures: Name to value of each further measure. A measure of outputs has the split in its name
            (``validation_ece``), and one with several numbers the part (``test_class_accuracy.3``); one of the student
            alone has neither (``flops``). See `cktf.measures`.
    """

    epoch: int
    phase: str
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    other_validation_loss: float | None = None
    other_validation_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    test_correct: str = ""
    epoch_seconds: float
    samples_per_second: float
    step: str = ""
    checkpoint_seconds: float = 0.0
    precision: str = ""
    peak_memory_gib: float
    terms: dict[str, float]
    health: dict[str, float] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)

    def value(self, column: str) -> float | None:
        """Return the value in a column of the tables, such as ``validation_loss`` or ``measure.flops``."""
        if column.startswith(MEASURE):
            return self.measures.get(column.removeprefix(MEASURE))
        found: float | None = getattr(self, column)
        return found
