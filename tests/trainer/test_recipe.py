"""Every part of the recipe of today in one training, and what each does to a training."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.models import MODELS
from cktf.objectives import OBJECTIVES, Objective
from cktf.storage import Storage
from cktf.trainer.step import share_correct
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial
from tests.kinds import MakeTrial
from tests.trainer.interrupted import TIMES, assert_equal_states, checkpoint_of, figures, killed_after_each_epoch

CPU = torch.device("cpu")
EVERYTHING: dict[str, Any] = {
    "data": {"name": "digits", "train_fraction": 0.08},
    "objective": {"cross_entropy": {"smoothing": 0.1}, "kd": {}, "fitnet": {"weight": 1.0}},
    "optimizer": {
        "name": "adamw",
        "learning_rate": 0.002,
        "betas": [0.9, 0.98],
        "weight_decay": 0.05,
        "bias_decay": False,
        "head_learning_rate": 0.01,
        "schedule": "linear",
        "warmup_epochs": 1,
        "clip_norm": 1.0,
        "accumulate": 3,
    },
    "augmentation": {
        "crop": 1,
        "flip": True,
        "rand_augment": {},
        "trivial_augment": {},
        "random_erasing": {},
        "mixup": 0.2,
        "cutmix": 1.0,
        "mix_probability": 0.8,
    },
    "teacher_view": "own",
    "ema": 0.9,
    "judge": "ema",
    "epochs": 2,
    "batch_size": 16,
}


@pytest.mark.parametrize(
    "changes",
    [{}, {"objective": {"cross_entropy": {}, "ab": {"initial_epochs": 1}, "kd": {}}}],
    ids=["main phase", "after an initial phase"],
)
def test_with_everything_on_a_run_that_is_killed_and_resumed_is_bit_equal(
    tiny: MakeTrial, tmp_path: Path, changes: Any
) -> None:
    config = tiny(**{**EVERYTHING, **changes})
    whole = Storage(tmp_path / "whole")
    uninterrupted = list(run_trial(config, TrainOptions(read_test=True), run=whole))
    expected = checkpoint_of(whole, config)
    broken = Storage(tmp_path / "broken")
    assert figures(killed_after_each_epoch(config, broken, read_test=True)) == figures(uninterrupted)
    found = checkpoint_of(broken, config)
    assert_equal_states(expected, found, "student", "objective", "average")
    assert expected.average
    assert all(math.isfinite(value) for result in uninterrupted for value in result.terms.values())


def test_the_average_is_evaluated_beside_the_student_and_judged_and_stored_if_asked(
    tiny: MakeTrial, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"objective": {"cross_entropy": {}}, "teacher": None, "ema": 0.95, "epochs": 2}
    ways = {judge: tiny(**shared, judge=judge) for judge in ("student", "ema")}
    run = Storage(tmp_path)
    results = {judge: list(run_trial(config, TrainOptions(read_test=True), run=run)) for judge, config in ways.items()}
    plain = list(run_trial(tiny(objective={"cross_entropy": {}}, teacher=None, epochs=2)))
    for one, other, alone in zip(results["student"], results["ema"], plain, strict=True):
        assert one.validation_loss == alone.validation_loss, "the student itself is trained as ever"
        assert (one.validation_loss, one.other_validation_loss) == (other.other_validation_loss, other.validation_loss)
        assert one.other_validation_accuracy == other.validation_accuracy
        assert one.train_loss == other.train_loss == alone.train_loss
        assert (alone.other_validation_loss, alone.other_validation_accuracy) == (None, None)
    assert results["student"][-1].validation_loss != results["ema"][-1].validation_loss
    assert results["student"][-1].test_loss != results["ema"][-1].test_loss
    for judge, part in {"student": "student", "ema": "average"}.items():
        stored = load_file(tmp_path / "trials" / ways[judge].trial_id / "student.safetensors")
        state = getattr(checkpoint_of(run, ways[judge]), part)
        assert stored.keys() == state.keys()
        assert all(torch.equal(value, state[name]) for name, value in stored.items())


class Plain(nn.Module):
    """A network without batch-norm, which would see a part of what is accumulated."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, kernel_size=3, padding=1)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Activations:
        stem = self.stem(images).relu()
        vector = stem.mean((2, 3))
        return Activations(self.fc(vector), vector, stem, ((stem,),), preactivations=())


def test_accumulated_batches_train_as_one_large_one(
    tiny: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "plain", Plain)
    states = []
    for batch_size, accumulate in ((48, 1), (16, 3)):
        config = tiny(
            student={"model": "plain"},
            teacher=None,
            objective={"cross_entropy": {}},
            optimizer={"accumulate": accumulate, "clip_norm": 0.5},
            batch_size=batch_size,
            epochs=2,
        )
        list(run_trial(config, run=Storage(tmp_path)))
        states.append(checkpoint_of(Storage(tmp_path), config).student)
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-6)


def test_heads_learn_at_their_own_rate_and_the_student_at_its(tiny: MakeTrial, tmp_path: Path) -> None:
    moved = {}
    for rate in (None, 1e-9):
        config = tiny(objective={"cross_entropy": {}, "fitnet": {}}, optimizer={"head_learning_rate": rate}, epochs=1)
        start = next(iter(run_trial(config.model_copy(update={"epochs": 1}), run=Storage(tmp_path))))
        assert start.learning_rate == 0.05
        moved[rate] = checkpoint_of(Storage(tmp_path), config)
    weights = [next(value for key, value in found.objective.items() if value.ndim == 4) for found in moved.values()]
    assert (weights[0] - weights[1]).abs().max() > 1e-3


def test_training_accuracy_of_mixed_images_counts_both_labels_by_their_shares() -> None:
    logits, index = torch.eye(3)[[0, 0, 2, 1]], torch.arange(4)
    plain = Batch(torch.empty(0), torch.tensor([0, 1, 2, 0]), index, step=0)
    assert float(share_correct(logits, plain)) == 2 / 4
    mixed = replace(plain, other_labels=torch.tensor([1, 0, 2, 2]), own_share=torch.tensor([0.75, 0.25, 0.5, 0.5]))
    assert float(share_correct(logits, mixed)) == pytest.approx((0.75 + 0.75 + 1 + 0) / 4)


def test_a_method_that_takes_an_image_for_one_sample_refuses_mixed_ones(tiny: MakeTrial) -> None:
    for name in ("cktf", "crd", "dkd"):
        objective: dict[str, Any] = {"cross_entropy": {}, name: {}}
        for mixing in ("mixup", "cutmix"):
            with pytest.raises(ValidationError, match=rf"objective\.{name} takes .* augmentation\.{mixing} mixes"):
                tiny(objective=objective, augmentation={mixing: 0.2})
        tiny(objective=objective, augmentation={"mixup": 0.2, "mix_probability": 0.0})
        tiny(objective={"cross_entropy": {}, name: {"weight": 0}}, augmentation={"mixup": 0.2})
    others: dict[str, Any] = {name: {} for name in OBJECTIVES if name not in ("cktf", "crd", "dkd")}
    tiny(objective=others, augmentation={"cutmix": 1.0})


def test_a_plug_in_that_reads_labels_must_say_that_it_weighs_both(
    tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    method: type[Objective] = OBJECTIVES["cross_entropy"]
    monkeypatch.setitem(OBJECTIVES, "cross_entropy", type("Silent", (method,), {"takes_mixed": None}))
    with pytest.raises(ValidationError, match=r"objective\.cross_entropy takes each image for one sample"):
        tiny(objective={"cross_entropy": {}}, augmentation={"mixup": 0.2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge": "ema"}, "judge: ema is an average of the student, and 'ema:' is not set"),
        (
            {"teacher": {"model": "resnet8", "optimizer": {"head_learning_rate": 0.1}}},
            "head_learning_rate: no objective",
        ),
        ({"ema": 1.0}, "less than 1"),
        ({"compile": True, "sync_batch_norm": True}, "sync_batch_norm: true and 'compile: true' exclude each other"),
    ],
)
def test_what_cannot_act_is_refused(tiny: MakeTrial, changes: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny(**changes)


def test_the_teacher_s_own_view_changes_what_the_teacher_sees_alone(tiny: MakeTrial) -> None:
    changes = {"objective": {"cross_entropy": {}, "kd": {}}, "augmentation": {"crop": 2, "flip": True}, "epochs": 1}
    same, own = (next(iter(run_trial(tiny(**changes, teacher_view=view)))) for view in ("same", "own"))
    assert same.terms["kd.logits"] != own.terms["kd.logits"]
    quiet = {**changes, "objective": {"cross_entropy": {}, "kd": {"weight": 1e-30}}}
    same, own = (next(iter(run_trial(tiny(**quiet, teacher_view=view)))) for view in ("same", "own"))
    no_times: dict[str, Any] = dict.fromkeys(TIMES, 0)
    assert replace(same, **no_times, terms={}) == replace(own, **no_times, terms={})
