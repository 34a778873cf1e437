"""Several teachers of one trial: the mean of their logits, or one that is drawn for its seed."""

import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cktf.data import DataConfig, load_dataset
from cktf.errors import InputError
from cktf.models import build_model
from cktf.storage import Storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.train import TrainOptions
from cktf.trial.check import check_trial, what_is_built
from cktf.trial.content import contents_of, with_contents
from cktf.trial.run import run_trial
from cktf.trial.teachers import load_teacher, teacher_id
from tests.kinds import MakeTrial

CPU = torch.device("cpu")
TWO = {"b": {"model": "resnet5", "epochs": 1}, "a": {"model": "resnet8", "epochs": 1}}
KD: dict[str, Any] = {"cross_entropy": {}, "kd": {}}
MEAN: dict[str, Any] = {"teacher": None, "teachers": TWO, "objective": KD, "epochs": 2}
DRAWN = {**MEAN, "teachers_as": "drawn", "objective": {**KD, "at": {}}}


def alone(config: TrialConfig) -> list[torch.nn.Module]:
    return [load_teacher(each, config.data, CPU, None) for each in config.teachers_by_key.values()]


def test_the_mean_is_that_of_each_one_s_logits(tiny: MakeTrial) -> None:
    config = tiny(**MEAN)
    images = load_dataset(DataConfig(name="digits")).train_images[:3].float()
    first, *others = config.read_teachers.values()
    found = load_teacher(first, config.data, CPU, None, others=tuple(others))(images)
    one, two = (network(images).logits.tolist() for network in alone(config))
    expected = [[(x + y) / 2 for x, y in zip(*rows, strict=True)] for rows in zip(one, two, strict=True)]
    torch.testing.assert_close(found.logits, torch.tensor(expected))
    assert one != two
    assert not found.shapes(images).has("stages")


def test_a_trial_of_the_mean_learns_from_all_and_is_resumed_bit_for_bit(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny(**MEAN)
    whole = [result.train_loss for result in run_trial(config, device=CPU)]
    assert all(
        next(run_trial(config.with_teacher(each), device=CPU)).train_loss != whole[0]
        for each in config.teachers_by_key.values()
    )
    run = Storage(tmp_path)
    options = TrainOptions(checkpoint_seconds=0.0)
    list(islice(run_trial(config, options, run=run, device=CPU), 1))
    assert [result.train_loss for result in run_trial(config, options, run=run, device=CPU)] == whole
    measured = [*run_trial(config, TrainOptions(health={"every": 1}), device=CPU)]
    assert [result.train_loss for result in measured] == whole
    assert {"agreement", "kl"} <= measured[0].health.keys()


def test_it_can_be_run_once_for_all_trials(tiny: MakeTrial) -> None:
    once = [result.train_loss for result in run_trial(tiny(**MEAN), TrainOptions(teacher_once=True), device=CPU)]
    assert once == pytest.approx([result.train_loss for result in run_trial(tiny(**MEAN), device=CPU)], rel=1e-2)


def test_one_is_drawn_by_the_seed_and_is_the_same_in_every_arm(tiny: MakeTrial) -> None:
    config = tiny(**DRAWN)
    other = tiny(**DRAWN | {"teachers": {**TWO, "a": {**TWO["a"], "epoch": 1, "epochs": 2}}, "batch_size": 32})
    drawn = [[*each.with_seed(seed).read_teachers] for seed in range(40) for each in (config, other)]
    assert drawn[::2] == drawn[1::2]
    assert {*map(tuple, drawn)} == {("teachers.a",), ("teachers.b",)}
    (teacher,) = config.read_teachers.values()
    trial = config.with_teacher(teacher)
    assert teacher_id(config) == teacher_id(trial)
    assert next(run_trial(config, device=CPU)).train_loss == next(run_trial(trial, device=CPU)).train_loss


def test_an_arm_is_known_by_all_its_teachers_and_their_use(tiny: MakeTrial) -> None:
    config, drawn = tiny(**MEAN), tiny(**MEAN, teachers_as="drawn")
    spelled = tiny(**MEAN | {"teachers": dict(reversed(TWO.items())) | {"c": None}})
    assert (spelled.arm_id, spelled.trial_id) == (config.arm_id, config.trial_id)
    changed = tiny(**MEAN | {"teachers": {**TWO, "a": {**TWO["a"], "seed": 1}}})
    ids = {each.arm_id for each in (config, drawn, changed, *map(config.with_teacher, config.teachers_by_key.values()))}
    assert len(ids) == 5
    assert drawn.with_seed(1).arm_id == drawn.arm_id
    assert teacher_id(config).split(",") == [
        teacher_id(config.with_teacher(each)) for each in config.teachers_by_key.values()
    ]
    assert TrialConfig.model_validate(config.model_dump(mode="json")).trial_id == config.trial_id


def test_files_among_them_are_known_by_content_and_named_in_messages(tiny: MakeTrial, tmp_path: Path) -> None:
    (_, network) = alone(tiny(**MEAN))  # b, after a
    torch.save(network.state_dict(), tmp_path / "one.pth")
    shutil.copy(tmp_path / "one.pth", tmp_path / "two.pth")

    def of(name: str, **changes: Any) -> TrialConfig:
        file = {"model": "resnet5", "checkpoint": str(tmp_path / name), "accept_any": True}
        return with_contents(tiny(**MEAN | {"teachers": {**TWO, "b": file}} | changes))

    one, two = of("one.pth"), of("two.pth")
    assert one.trial_id == two.trial_id
    (found,) = contents_of(one)
    assert (found.key, found.digest == found.here()) == ("teachers.b.checkpoint", True)
    check_trial(one)
    assert hash(what_is_built(one)) != hash(what_is_built(tiny(**MEAN)))
    assert len([*run_trial(one, device=CPU)]) == 2
    for use in ("mean", "drawn"):
        with pytest.raises(InputError, match=r"^teachers\.b: teacher\.checkpoint: .*no\.pth"):
            check_trial(of("no.pth", teachers_as=use))


def test_a_mean_of_teachers_of_unlike_classes_is_refused_in_a_transfer(tiny: MakeTrial, tmp_path: Path) -> None:
    torch.save(build_model("resnet5", 7, (1, 8, 8)).state_dict(), tmp_path / "seven.pth")
    seven = {"model": "resnet5", "checkpoint": str(tmp_path / "seven.pth"), "classes": 7}
    transfer = {"task": "transfer", "source": {"name": "digits"}, "probe": {}, "objective": {"kd": {}}}
    config = tiny(**MEAN | transfer | {"teachers": {**TWO, "b": seven}})
    with pytest.raises(InputError, match=r"same classes; got 10 of teachers\.a, 7 of teachers\.b; choose drawn"):
        check_trial(config)
    check_trial(config.model_copy(update={"teachers_as": "drawn"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": TWO["a"]}, "teachers: stand in place of 'teacher:', which is set"),
        ({"teachers": {"a": TWO["a"], "b": None}}, "teachers: must be two or more, a single one is 'teacher:'; got 1"),
        ({"teachers": {"a.b": TWO["a"], "c": TWO["b"]}}, "teachers: a name is of letters, digits, '-' and '_'; got 'a"),
        ({"teachers": None, "teachers_as": "drawn"}, "teachers_as: drawn is of several, and 'teachers:' is not set"),
        ({"objective": {"simkd": {}}}, "teachers_as: mean has no features but the mean of logits, and objective.simkd"),
        ({"objective": {**KD, "ft": {}}}, "and objective.ft reads others; only objectives that read logits alone"),
        (
            {"teachers": {**TWO, "b": {"model": "resnet5", "checkpoint": "x", "classes": 7}}},
            "teachers.b.classes: the teacher's classes are not the student's, and objective.kd reads its logits",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(tiny: MakeTrial, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        tiny(**MEAN | changes)
    assert message in str(error.value)
