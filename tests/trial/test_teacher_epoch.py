"""A teacher of an earlier epoch of its training, and a training that ends before its schedule does."""

from itertools import islice

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load

from cktf.storage import Storage
from cktf.trainer.checkpoint import load_checkpoint, trial_storage
from cktf.trainer.train import TrainOptions
from cktf.trial.run import run_trial
from cktf.trial.teachers import teacher_id, teacher_trial
from cktf.trial.trained_teachers import train_teacher, trained_row
from tests.kinds import MakeTrial

CPU = torch.device("cpu")
DATA = {"name": "digits", "train_fraction": 0.2, "generated": True}  # generated, so that no cache has the teacher
RECIPE = {"model": "resnet5", "epochs": 3, "optimizer": {"schedule": "cosine"}}


def test_it_has_the_weights_at_the_end_of_that_epoch_under_the_whole_schedule(tiny: MakeTrial, tmp_path: str) -> None:
    whole, early, last = (
        teacher_trial(config.teacher, config.data)
        for config in (tiny(data=DATA, teacher={**RECIPE, "epoch": epoch}) for epoch in (None, 2, 3))
        if config.teacher
    )
    assert whole.trial_id == last.trial_id != early.trial_id
    assert (early.epochs, early.total_epochs) == (3, 2)
    runs = Storage(f"{tmp_path}/whole"), Storage(f"{tmp_path}/early")
    training = train_teacher(whole, CPU, runs[0], TrainOptions(checkpoint_seconds=0))
    of_whole = [*islice(training, 2)]
    training.close()
    found = load_checkpoint(trial_storage(runs[0], whole.trial_id))
    assert found is not None
    of_early = [*train_teacher(early, CPU, runs[1])]
    assert [result.learning_rate for result in of_early] == [result.learning_rate for result in of_whole]
    weights = load(runs[1].child("teachers").read(f"{early.trial_id}.safetensors") or b"")
    assert all(torch.equal(weights[name], value) for name, value in found.student.items())
    row = trained_row(runs[1], early.trial_id)
    assert row is not None
    assert (row.epochs, row.test_accuracy is None) == (2, False)


def test_the_epoch_is_part_of_the_identity_of_teacher_and_students(tiny: MakeTrial) -> None:
    plain, early = (tiny(teacher={**RECIPE, "epoch": epoch}) for epoch in (None, 1))
    assert early.teacher is not None
    assert teacher_id(plain) != teacher_id(early) == teacher_trial(early.teacher, early.data).trial_id
    assert plain.arm_id != early.arm_id


def test_a_student_s_training_may_end_early_too_and_its_last_epoch_reads_the_test_split(tiny: MakeTrial) -> None:
    config = tiny(objective={"cross_entropy": {}}, teacher=None, stop_after=1)
    (result,) = run_trial(config)
    (first, *_) = run_trial(tiny(objective={"cross_entropy": {}}, teacher=None))
    assert (result.train_loss, result.learning_rate) == (first.train_loss, first.learning_rate)


def test_schedules_of_objectives_are_those_of_all_epochs_where_a_training_ends_early(tiny: MakeTrial) -> None:
    ramp = {"from": 0, "to": 1, "over": [0, 1]}
    objective = {"cross_entropy": {"weight": ramp}, "kd": {"temperature": {"from": 1, "to": 8, "over": [0, 1]}}}
    whole, early = (run_trial(tiny(objective=objective, stop_after=last)) for last in (None, 2))
    assert [result.train_loss for result in early] == [result.train_loss for result in whole][:2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": {**RECIPE, "epoch": 4}}, "epoch: must be 3 or less, the epochs of its training; got 4"),
        ({"teacher": {"model": "resnet5", "checkpoint": "x.pth", "epoch": 4}}, "so epoch cannot be set beside it"),
        ({"stop_after": 4}, "stop_after: must be 3 or less, the epochs of the main phase; got 4"),
    ],
)
def test_an_epoch_that_there_is_not_is_refused(tiny: MakeTrial, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tiny(**changes)
