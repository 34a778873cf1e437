import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.nce import kernel_for
from cktf.trainer import step as steps
from cktf.trainer.distributed import Workers
from cktf.trainer.step import RunningMeans
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial
from tests.kinds import MakeTrial
from tests.trainer.interrupted import figures
from tests.trainer.tape import TapeRecorder

FEW = {"name": "digits", "train_fraction": 0.1}
RECIPE = {
    "augmentation": {"mixup": 0.4, "cutmix": 1.0},
    "ema": 0.9,
    "objective": {
        "cross_entropy": {"weight": {"from": 1, "to": 0.2, "over": [0, 1]}, "smoothing": 0.1},
        "kd": {"temperature": {"learn": True, "start": 4, "min": 1, "max": 10}},
    },
    "optimizer": {"clip_norm": 1.0, "schedule": "cosine", "nesterov": True},
}
INFONCE = {
    "estimator": "infonce",
    "temperature": {"learn": True, "start": 0.1, "min": 0.05, "max": 1},
    "positives": "class",
    "hardness": 0.5,
}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> TapeRecorder:
    """Record and replay on the CPU."""
    recorder = TapeRecorder()
    monkeypatch.setattr(steps, "recorder_of", lambda _: recorder)
    steps._log_once.cache_clear()
    return recorder


REPLAYED: dict[str, dict[str, Any]] = {
    "sampled": {"objective": {"cross_entropy": {}, "cktf": {"negatives": 32}}},
    "several blocks": {"objective": {"cktf": {"negatives": 32}}, "teacher": {"model": "resnet14", "epochs": 1}},
    "unlabelled": {"objective": {"cross_entropy": {}, "crd": {"negatives": 32, "labels": False}}},
    "shared": {"objective": {"crd": {"negatives": 16, "source": "shared"}, "cktf": {"negatives": 9, "source": "all"}}},
    "queue": {"objective": {"crd": {"negatives": 50, "source": "queue", **INFONCE}}},
    "batch": {"objective": {"cross_entropy": {}, "crd": {"source": "batch", "estimator": "infonce"}}},
    "largest": {
        "objective": {"cktf": {"negatives": 32, "pairing": "largest"}},
        "teacher": {"model": "resnet14", "epochs": 1},
    },
    "random block": {
        "objective": {"cktf": {"negatives": 32, "pairing": "random"}},
        "teacher": {"model": "resnet14", "epochs": 1},
    },
    "recipe": RECIPE,
    "adamw": {"objective": {"cross_entropy": {}, "at": {}}, "optimizer": {"name": "adamw", "learning_rate": 0.01}},
    "phases": {"objective": {"cross_entropy": {}, "ft": {"initial_epochs": 2}}},
    "warm-up": {"objective": {"cross_entropy": {}, "dkd": {"warmup_epochs": 3}}},
}


@pytest.mark.parametrize("name", REPLAYED)
def test_a_replayed_training_equals_the_eager_one_to_the_bit(
    name: str, tiny: MakeTrial, recorder: TapeRecorder
) -> None:
    changes = {"data": FEW, "epochs": 2, "batch_size": 16, "student": {"model": "resnet5"}, **REPLAYED[name]}
    config = tiny(**changes)
    options = TrainOptions(health={"every": 2}) if name == "sampled" else TrainOptions()
    eager = list(run_trial(config, options.model_copy(update={"step": "eager"})))
    recorder.replays = 0  # the teacher's training is replayed too
    replayed = list(run_trial(config, options))
    assert figures(replayed, "step") == figures(eager, "step")
    assert {result.step for result in eager} == {"eager"}
    assert replayed[-1].step == "graph"
    assert recorder.replays > 5


PLAIN, DRAWS = CKTF.forward, CKTF.draws


def _counting(self: Any, *given: Any) -> dict[str, Tensor]:
    """Count steps in Python."""
    self.steps = getattr(self, "steps", 0) + 1
    return {name: value * (1 + 0.1 * self.steps) for name, value in PLAIN(self, *given).items()}


def _drawing(self: Any, *given: Any) -> dict[str, Tensor]:
    """Draw from PyTorch's global stream."""
    return {name: value * torch.rand(()) for name, value in PLAIN(self, *given).items()}


def _reading(self: Any, student: Any, teacher: Any, batch: Any) -> dict[str, Tensor]:
    """Take a number to Python, which a recording then repeats."""
    factor = 1 + batch.labels[0].item()
    return {name: value * factor for name, value in PLAIN(self, student, teacher, batch).items()}


def _numbering(self: Any, student: Any, teacher: Any, batch: Any) -> dict[str, Tensor]:
    """Read the number of the batch."""
    factor = 1 + batch.step % 2
    return {name: value * factor for name, value in PLAIN(self, student, teacher, batch).items()}


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (_counting, "attributes of modules"),
        (_drawing, "draws random numbers"),
        (_reading, "differ by"),
        (_numbering, "number of the batch"),
    ],
)
def test_what_a_replay_would_not_repeat_is_found_said_once_and_changes_no_number(
    forward: Any, reason: str, tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CKTF, "forward", forward)
    config = tiny(data=FEW, epochs=2, batch_size=16, objective={"cktf": {"negatives": 32}})
    eager = list(run_trial(config, TrainOptions(step="eager")))
    with caplog.at_level(logging.WARNING):
        found = list(run_trial(config))
        list(run_trial(config))
    assert figures(found, "step") == figures(eager, "step")
    assert {result.step for result in found} == {"eager"}
    (record,) = (record for record in caplog.records if record.name == steps.__name__)
    assert reason in record.getMessage()


@pytest.mark.parametrize("batch_size", [16, 32])  # with 32 the fourth whole batch is the first of an epoch
@pytest.mark.parametrize("fails", ["copy", "rehearse", "record", "replay"])
def test_a_driver_s_failure_costs_a_step_and_no_trial(
    fails: str,
    batch_size: int,
    tiny: MakeTrial,
    recorder: TapeRecorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    objective = {"cross_entropy": {}, "cktf": {"negatives": 32}}
    config = tiny(data=FEW, epochs=2, batch_size=batch_size, objective=objective)
    eager = list(run_trial(config, TrainOptions(step="eager")))

    def failing(run: Any) -> None:
        run()
        raise RuntimeError("CUDA error: not permitted")

    broken = (lambda run: lambda: failing(run)) if fails == "replay" else failing
    if fails == "copy":  # of the state, for which the memory may be too small
        monkeypatch.setattr(steps, "Moment", lambda *_: failing(lambda: None))
    else:
        monkeypatch.setattr(recorder, "record" if fails == "replay" else fails, broken)
    found = list(run_trial(config))
    assert figures(found, "step") == figures(eager, "step")
    assert {result.step for result in found} == {"eager"}
    assert "RuntimeError: CUDA error: not permitted" in caplog.text


def test_a_fault_of_a_replay_that_is_trusted_is_raised_and_its_batch_is_not_trained_on_again(
    tiny: MakeTrial, recorder: TapeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(data=FEW, epochs=2, batch_size=16, objective={"cktf": {"negatives": 32}})
    list(run_trial(config, TrainOptions(step="eager")))  # the teacher is trained
    recorder.replays = 0
    plain = recorder.record

    def recorded(run: Any) -> Any:
        replay = plain(run)

        def faulty() -> None:
            replay()
            if recorder.replays > 6:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

        return faulty

    monkeypatch.setattr(recorder, "record", recorded)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        list(run_trial(config))


def test_a_batch_that_does_not_fit_into_the_recording_is_trained_on_eagerly(
    tiny: MakeTrial, recorder: TapeRecorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def widening(self: CKTF, batch: Any) -> Any:
        """Draw more for late batches than for those that a replay is compared on."""
        return {**DRAWS(self, batch), "extra": torch.zeros(1 if batch.step < 9 else 2)}

    monkeypatch.setattr(CKTF, "draws", widening)
    config = tiny(data=FEW, epochs=2, batch_size=16, objective={"cktf": {"negatives": 32}})
    eager = list(run_trial(config, TrainOptions(step="eager")))
    found = list(run_trial(config))
    assert figures(found, "step") == figures(eager, "step")
    assert recorder.replays > 2, "some after those that are compared"
    assert "its inputs change their shapes" in caplog.text


def test_an_initial_phase_takes_no_contrast_and_so_no_fused_kernel(
    tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CKTF, "is_fused", lambda *_: True)
    objective = {"ft": {"initial_epochs": 1}, "cktf": {"negatives": 32}}
    found = list(run_trial(tiny(data=FEW, epochs=1, objective=objective)))
    assert [(result.phase, result.step) for result in found] == [("ft", "eager"), ("train", "eager+fused")]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["sampled", "queue", "recipe", "adamw", "phases"])
def test_on_a_gpu_steps_are_captured_and_train_as_eager_ones(name: str, tiny: MakeTrial) -> None:
    config = tiny(**{"data": FEW, "epochs": 2, "batch_size": 16, "precision": "float32", **REPLAYED[name]})
    device = torch.device("cuda")
    eager = list(run_trial(config, TrainOptions(step="eager"), device=device))
    found = list(run_trial(config, device=device))
    assert found[-1].step.startswith("graph")
    assert all(result.step.startswith("eager") for result in eager)
    for one, other in zip(found, eager, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=0.02)


@pytest.mark.gpu
def test_on_a_gpu_the_fused_kernel_is_trusted() -> None:
    assert kernel_for(torch.device("cuda"), 128)


def test_a_mean_counts_samples_not_batches() -> None:
    means = RunningMeans()
    for value, samples in ((1.0, 3), (5.0, 1)):
        means.add({"loss": torch.tensor(value), "correct": torch.tensor(value / 5, dtype=torch.float64)}, samples)
        means.samples += samples
    values, samples = means.result(Workers())
    assert values == {"loss": pytest.approx(2.0), "correct": pytest.approx(0.4)}
    assert samples == 4


def test_a_mean_keeps_no_graph() -> None:
    means = RunningMeans()
    weight = nn.Parameter(torch.ones(1))
    means.add({"loss": (weight * 2).sum()}, samples=1)
    assert not any(total.requires_grad for total in means.sums)
