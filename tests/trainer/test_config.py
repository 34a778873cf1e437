from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cktf.trainer.config import TrialConfig
from cktf.trial.content import contents_of, with_contents
from cktf.trial.teachers import teacher_id, teacher_trial
from tests.kinds import MakeTrial


def test_the_identity_of_a_trial_changes_with_every_setting_and_the_arm_s_with_all_but_the_seed(
    tiny: MakeTrial,
) -> None:
    base = tiny()
    assert base.with_seed(1).trial_id != base.trial_id
    assert base.with_seed(1).arm_id == base.arm_id
    assert tiny(epochs=4).arm_id != base.arm_id
    assert tiny(objective={"cross_entropy": {}, "cktf": {"negatives": 33}}).arm_id != base.arm_id


def test_an_identity_survives_a_round_trip_through_json(tiny: MakeTrial) -> None:
    again = TrialConfig.model_validate_json(tiny().model_dump_json())
    assert again == tiny()
    assert again.trial_id == tiny().trial_id


def test_a_teacher_from_a_file_survives_the_round_trip_through_a_row(tiny: MakeTrial) -> None:
    config = tiny(teacher={"model": "resnet8", "checkpoint": "teacher.pth"})
    assert TrialConfig.model_validate(config.model_dump(mode="json")) == config


def test_where_the_files_are_is_no_part_of_an_identity(tiny: MakeTrial) -> None:
    here = tiny(data={"name": "digits", "train_fraction": 0.2, "root": "/somewhere"})
    assert here.trial_id == tiny().trial_id
    assert here.arm_id == tiny().arm_id


def test_a_teacher_s_file_is_known_by_its_content_wherever_it_is(tiny: MakeTrial, tmp_path: Path) -> None:
    def planned(name: str, content: Any) -> TrialConfig:
        (tmp_path / name).write_bytes(content)
        teacher = {"model": "resnet8", "checkpoint": str(tmp_path / name)}
        return with_contents(tiny(teacher=teacher))

    first, moved, other = planned("a.pth", b"one"), planned("b.pth", b"one"), planned("a.pth", b"two")
    assert moved.trial_id == first.trial_id != other.trial_id
    assert moved.arm_id == first.arm_id != other.arm_id
    assert TrialConfig.model_validate_json(first.model_dump_json()).trial_id == first.trial_id
    assert with_contents(first) == first, "what is planned does not change with the file"


def test_a_teacher_s_precision_is_that_of_its_own_training_and_means_nothing_beside_a_file(tiny: MakeTrial) -> None:
    def teacher(**values: Any) -> TrialConfig:
        return tiny(teacher={"model": "resnet8", **values})

    plain, exact = teacher(epochs=1), teacher(epochs=1, precision="float32")
    assert exact.trial_id != plain.trial_id
    assert teacher_id(exact) != teacher_id(plain)
    assert exact.teacher is not None
    assert teacher_trial(exact.teacher, exact.data).precision == "float32"
    assert tiny(precision="float32").teacher == plain.teacher
    from_file, beside = (
        teacher(checkpoint="/nowhere/a.pth"),
        teacher(checkpoint="/nowhere/a.pth", precision="float32"),
    )
    assert beside.trial_id == from_file.trial_id
    assert teacher_id(beside) == teacher_id(from_file)


def test_a_teacher_s_file_that_only_other_machines_have_is_known_by_its_name(tiny: MakeTrial) -> None:
    def planned(name: str) -> TrialConfig:
        return with_contents(tiny(teacher={"model": "resnet8", "checkpoint": f"/nowhere/{name}"}))

    teacher = planned("a.pth").teacher
    assert teacher is not None
    assert teacher.sha256 is None
    assert planned("a.pth").trial_id != planned("b.pth").trial_id


def test_a_trial_without_a_teacher_s_file_stays_as_it_is(tiny: MakeTrial) -> None:
    assert with_contents(tiny()) == tiny()


def test_an_objective_that_needs_a_teacher_is_refused_without_one(tiny: MakeTrial) -> None:
    with pytest.raises(ValidationError, match=r"objective\.cktf needs a teacher"):
        tiny(teacher=None)


def test_a_sum_without_any_objective_is_refused(tiny: MakeTrial) -> None:
    with pytest.raises(ValidationError, match="at least one objective"):
        tiny(objective={"cross_entropy": {"weight": 0}})


def test_an_unknown_objective_is_refused(tiny: MakeTrial) -> None:
    with pytest.raises(ValidationError, match="croos_entropy"):
        tiny(objective={"croos_entropy": {}})


def test_automatic_precision_is_bfloat16_only_on_a_gpu_that_computes_in_it(
    tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert tiny().precision_on("cuda") == "float32"
    assert tiny(precision="bfloat16").precision_on("cuda") == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)  # noqa: ARG005
    assert tiny().precision_on("cuda") == "bfloat16"
    assert tiny().precision_on("cpu") == "float32"
    assert tiny(precision="float32").precision_on("cuda") == "float32"


def test_a_warm_up_longer_than_the_training_is_refused(tiny: MakeTrial) -> None:
    with pytest.raises(ValidationError, match=r"warmup_epochs is 50; must be less than epochs, 5"):
        tiny(epochs=5, optimizer={"warmup_epochs": 50})


def test_folders_of_images_are_known_by_their_content_or_else_by_their_place(tiny: MakeTrial, tmp_path: Path) -> None:
    def planned(name: str, *colours: Any) -> TrialConfig:
        for part in ("train", "test"):
            for colour in colours:
                (tmp_path / name / part / colour).mkdir(parents=True)
                (tmp_path / name / part / colour / "0.png").write_bytes(b"image")
        return with_contents(tiny(data={"name": "image_folder", "root": str(tmp_path / name), "side": 16}))

    one, same, other = (planned("one", "red", "blue"), planned("same", "red", "blue"), planned("other", "red", "green"))
    assert one.trial_id == same.trial_id != other.trial_id
    assert one.teacher is not None
    assert other.teacher is not None
    assert teacher_trial(one.teacher, one.data).trial_id != teacher_trial(other.teacher, other.data).trial_id
    assert planned("nothing").trial_id != planned("void").trial_id


def test_files_that_are_not_verified_are_known_by_their_content_wherever_they_are(
    tiny: MakeTrial, tmp_path: Path
) -> None:
    def planned(name: str, *, byte: bytes, verify: bool = False) -> TrialConfig:
        folder = tmp_path / name / "cifar-100-python"
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("train", "test"):
            (folder / file).write_bytes(byte)
        data = {"name": "cifar100", "root": str(tmp_path / name), "verify": verify}
        return with_contents(tiny(data=data))

    one, same, other = planned("one", byte=b"1"), planned("same", byte=b"1"), planned("other", byte=b"2")
    assert one.trial_id == same.trial_id != other.trial_id
    assert one.teacher is not None
    assert other.teacher is not None
    assert teacher_trial(one.teacher, one.data).trial_id != teacher_trial(other.teacher, other.data).trial_id
    (content,) = contents_of(one)
    assert (content.key, content.here()) == ("data.root", one.data.content)
    planned("one", byte=b"2")
    assert content.here() == other.data.content
    real = tiny(data={"name": "cifar100"})
    assert planned("two", byte=b"1", verify=True).trial_id == real.trial_id != one.trial_id
    assert contents_of(real) == ()
