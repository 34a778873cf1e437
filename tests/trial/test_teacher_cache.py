import errno
import json
import re
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from cktf.errors import InputError
from cktf.models import build_model
from cktf.storage import Storage, cache_directory
from cktf.trainer.checkpoint import trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.phases import LiveTeacher, Phase
from cktf.trainer.teacher import TeacherConfig
from cktf.trainer.train import TrainingFailed
from cktf.trial import trained_teachers
from cktf.trial.content import with_contents
from cktf.trial.run import run_trial
from cktf.trial.teachers import load_teacher, teacher_trial
from cktf.trial.trained_teachers import train_teacher
from tests.kinds import MakeTrial

CPU = torch.device("cpu")


def trial_of_teacher(config: TrialConfig) -> TrialConfig:
    """Return the trial that trains the teacher of another."""
    assert config.teacher is not None
    return teacher_trial(config.teacher, config.data)


def test_a_teacher_is_trained_once_and_is_the_same_for_every_student_and_seed(
    tiny: MakeTrial, cache: Path, tmp_path: Path
) -> None:
    config = tiny()
    first = load_teacher(config.teacher, config.data, CPU, None)
    file = cache / "teachers" / f"{trial_of_teacher(config).trial_id}.safetensors"
    written = file.stat().st_mtime_ns
    second = load_teacher(config.teacher, config.data, CPU, Storage(tmp_path))
    assert file.stat().st_mtime_ns == written
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))


def test_a_run_s_own_trial_of_a_teacher_is_not_trained_where_the_teacher_is_found(
    tiny: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    trial = trial_of_teacher(tiny())
    run, name = Storage(tmp_path / "run"), f"{trial.trial_id}.safetensors"
    training = train_teacher(trial, CPU, run)
    (result,) = training
    assert result.test_accuracy is not None
    again = [Storage(tmp_path / "again"), run]
    trial_storage(run, trial.trial_id).clear()  # as when the trial has ended
    for other, where in zip(again, ("cache of teachers", "run directory"), strict=True):
        found = train_teacher(trial, CPU, other)
        with pytest.raises(StopIteration) as end:
            next(found)
        assert end.value.value == f"found in the {where}"
        for each in (name, name.replace("safetensors", "json")):
            assert other.child("teachers").read(each) == Storage(tmp_path / "cache").child("teachers").read(each)
    kept = Storage(tmp_path / "kept")
    monkeypatch.setattr(
        trained_teachers, "cache_directory", lambda: tmp_path / "run" / "teachers" / name
    )  # none can be written
    assert len([*train_teacher(trial, CPU, kept)]) == 1
    assert kept.child("teachers").exists(name)


def test_a_cache_that_may_only_be_read_gives_the_teachers_that_are_in_it(
    tiny: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny()
    teacher = load_teacher(config.teacher, config.data, CPU, None)

    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(trained_teachers, "exclusive", refuse)  # permissions would not keep root from writing
    load_teacher.cache_clear()  # as in another process
    again = load_teacher(config.teacher, config.data, CPU, Storage(tmp_path))
    assert all(torch.equal(one, two) for one, two in zip(teacher.parameters(), again.parameters(), strict=True))


def test_a_teacher_is_frozen_and_in_eval_mode(tiny: MakeTrial) -> None:
    teacher = load_teacher(tiny().teacher, tiny().data, CPU, None)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_run_s_own_teacher_goes_before_the_cache(tiny: MakeTrial, tmp_path: Path) -> None:
    # Two machines may round differently; all trials of a run must learn from one and the same teacher.
    config, run = tiny(), Storage(tmp_path)
    teacher = load_teacher(config.teacher, config.data, CPU, run)
    mine = {name: torch.full_like(tensor, 0.25) for name, tensor in teacher.state_dict().items()}
    save_file(mine, tmp_path / "teachers" / f"{trial_of_teacher(config).trial_id}.safetensors")
    load_teacher.cache_clear()  # as in another process
    again = load_teacher(config.teacher, config.data, CPU, run)
    assert all((parameter == 0.25).all() for parameter in again.parameters())


def test_a_teacher_of_generated_data_is_kept_by_its_run_alone(tiny: MakeTrial, cache: Path, tmp_path: Path) -> None:
    config = tiny(data={"name": "mnist", "generated": True})
    load_teacher(config.teacher, config.data, CPU, Storage(tmp_path / "run"))
    name = trial_of_teacher(config).trial_id
    kept = {path.name for path in (tmp_path / "run" / "teachers").iterdir()}
    assert kept == {f"{name}.safetensors", f"{name}.json"}
    assert json.loads((tmp_path / "run" / "teachers" / f"{name}.json").read_text())["config"]["data"]["generated"]
    assert not list(cache.rglob(f"{name}*"))


def test_the_run_keeps_the_teacher_s_recipe_and_scores(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny()
    load_teacher(config.teacher, config.data, CPU, Storage(tmp_path))
    record = json.loads((tmp_path / "teachers" / f"{trial_of_teacher(config).trial_id}.json").read_text())
    assert record["config"]["student"]["model"] == "resnet8"
    assert 0 < record["result"]["test_accuracy"] <= 100


def test_a_kill_between_the_files_of_a_run_s_teacher_loses_none_of_them(
    tiny: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, write, written = tiny(), Storage.write, []

    def write_one(place: Storage, name: str, content: bytes) -> None:
        if place.root == str(tmp_path / "teachers"):
            written.append(name)
        if len(written) == 2:
            raise SystemExit
        write(place, name, content)

    monkeypatch.setattr(Storage, "write", write_one)
    with pytest.raises(SystemExit):
        load_teacher(config.teacher, config.data, CPU, Storage(tmp_path))
    monkeypatch.undo()
    load_teacher(config.teacher, config.data, CPU, Storage(tmp_path))
    assert {path.name for path in (tmp_path / "teachers").iterdir()} == set(written)


def test_another_recipe_is_another_teacher_and_the_student_s_share_of_the_data_is_not(tiny: MakeTrial) -> None:
    def name(teacher: Any, **data: Any) -> str:
        config = tiny(teacher={"model": "resnet8", **teacher}, data={"name": "digits", **data})
        return trial_of_teacher(config).trial_id

    base = name({"epochs": 1})
    assert name({"epochs": 1}, train_fraction=0.5) == base
    assert name({"epochs": 2}) != base
    assert name({"epochs": 1, "seed": 1}) != base


def test_a_warm_worker_keeps_the_teacher(tiny: MakeTrial) -> None:
    config = tiny()
    assert load_teacher(config.teacher, config.data, CPU, None) is load_teacher(config.teacher, config.data, CPU, None)


def test_a_warm_worker_s_teacher_is_compiled_for_those_trials_alone_that_ask_for_it(
    tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    load_teacher(tiny().teacher, tiny().data, CPU, None)  # so that no training of its own comes between
    used = []

    def teacher_of(phase: Phase, *_: object, **__: object) -> LiveTeacher:
        assert phase.teacher is not None
        used.append(phase.teacher._compiled_call_impl is not None)
        return LiveTeacher(phase.teacher)

    monkeypatch.setattr("cktf.trial.run.live_teacher", teacher_of)
    for is_compiled in (False, True, False):
        list(run_trial(tiny(objective={"kd": {}}, epochs=1, compile=is_compiled)))
    assert used == [False, True, False]


def test_a_teacher_whose_training_fails_is_named_in_the_reason(tiny: MakeTrial) -> None:
    recipe = {"model": "resnet8", "epochs": 1, "optimizer": {"learning_rate": 1e18}}
    config = tiny(teacher=recipe)
    with pytest.raises(TrainingFailed, match=r"the teacher \(resnet8\): the .*loss is"):
        load_teacher(config.teacher, config.data, CPU, None)


@pytest.mark.parametrize("layout", ["bare", "under_model", "safetensors"])
def test_a_checkpoint_file_is_loaded_in_each_usual_layout(tiny: MakeTrial, tmp_path: Path, layout: str) -> None:
    config = tiny()
    weights = load_teacher(config.teacher, config.data, CPU, None).state_dict()
    path = tmp_path / ("teacher.safetensors" if layout == "safetensors" else "teacher.pth")
    if layout == "safetensors":
        save_file(weights, path)
    else:
        torch.save({"model": weights, "epoch": 240} if layout == "under_model" else weights, path)
    from_file = tiny(teacher={"model": "resnet8", "checkpoint": str(path)})
    loaded = load_teacher(from_file.teacher, from_file.data, CPU, None).state_dict()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def checkpoint_of(path: Path, weights: dict[str, Any]) -> dict[str, Any]:
    torch.save(weights, path)
    return {"model": "resnet8", "checkpoint": str(path)}


@pytest.mark.parametrize(
    "around",
    [
        lambda weights: {f"_orig_mod.{key}": value for key, value in weights.items()},
        lambda weights: {f"{'module.' * ('layer' in key)}{key}": value for key, value in weights.items()},
        lambda weights: {"state_dict": {f"model.{key}": value for key, value in weights.items()}},
        lambda weights: {
            **{f"student.{key}": value for key, value in weights.items()},
            "classifier.weight": torch.ones(10, 64),
        },
        lambda weights: {"model": "resnet8", "net": {**weights, "bn1._extra_state": torch.zeros(1)}},
        lambda weights: AveragedModel(_loaded(weights)).state_dict(),
    ],
)
def test_a_checkpoint_is_loaded_whatever_stands_before_its_keys_or_beside_them(
    tiny: MakeTrial, tmp_path: Path, around: Any
) -> None:
    weights = build_model("resnet8", 10, (1, 8, 8)).state_dict()
    config = tiny(teacher=checkpoint_of(tmp_path / "file.pth", around(weights)))
    loaded = load_teacher(config.teacher, config.data, CPU, None).state_dict()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def _loaded(weights: dict[str, Any]) -> Any:
    network = build_model("resnet8", 10, (1, 8, 8))
    network.load_state_dict(weights)
    return network


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (torch.Tensor.long, r"which are dense floating-point numbers: fc\.weight is int64$"),
        (torch.Tensor.bool, r"fc\.weight is bool$"),
        (lambda tensor: tensor.to(torch.complex64), r"fc\.weight is complex64$"),
        (lambda tensor: tensor.to("meta"), r"fc\.weight is without data$"),
        (torch.Tensor.to_sparse, r"fc\.weight is sparse or nested$"),
        (lambda tensor: tensor * float("nan"), r"holds NaN or numbers beyond 1e\+10, in fc\.weight; name another"),
        (
            lambda tensor: tensor * 0 + 1e30,
            r"holds NaN or numbers beyond 1e\+10, in fc\.weight; name another file, or set teacher\.accept_any: true",
        ),
        (lambda tensor: tensor.repeat(2, 1), r"shapes: fc\.weight is \(20, 64\), not \(10, 64\)$"),
    ],
)
def test_weights_that_were_not_trained_are_refused_by_tensor_and_kind(
    tiny: MakeTrial, tmp_path: Path, change: Any, message: str
) -> None:
    weights = build_model("resnet8", 10, (1, 8, 8)).state_dict()
    file = checkpoint_of(tmp_path / "file.pth", {**weights, "fc.weight": change(weights["fc.weight"])})
    wrong = tiny(teacher=file)
    with pytest.raises(InputError, match=rf"^teacher\.checkpoint: .*file\.pth .*{message}"):
        load_teacher(wrong.teacher, wrong.data, CPU, None)


def test_a_teacher_of_images_with_other_channels_is_refused_by_its_shapes(tiny: MakeTrial, tmp_path: Path) -> None:
    file = checkpoint_of(tmp_path / "file.pth", build_model("resnet8", 10, (3, 8, 8)).state_dict())
    wrong = tiny(teacher=file)
    with pytest.raises(InputError, match=r"\(16, 3, 3, 3\), not \(16, 1, 3, 3\)$"):
        load_teacher(wrong.teacher, wrong.data, CPU, None)


def test_a_checkpoint_of_two_networks_of_the_kind_is_refused(tiny: MakeTrial, tmp_path: Path) -> None:
    weights = build_model("resnet8", 10, (1, 8, 8)).state_dict()
    both = {f"{part}.{key}": value for part in ("teacher", "student") for key, value in weights.items()}
    wrong = tiny(teacher=checkpoint_of(tmp_path / "file.pth", both))
    with pytest.raises(InputError, match=r"^teacher\.checkpoint: .* holds several networks of this kind, under 'tea"):
        load_teacher(wrong.teacher, wrong.data, CPU, None)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            {"weight": torch.zeros(1)},
            r"teacher\.checkpoint: .*file\.pth does not hold the weights of resnet8: "
            r"missing: conv1\.weight, bn1\.weight, bn1\.bias and \d+ more; not among its keys: "
            r"weight \(1,\)$",
        ),
        (None, r"shapes: fc\.weight is \(100, 64\), not \(10, 64\), fc\.bias is \(100,\), not \(10,\)$"),
        ([1], r"teacher\.checkpoint: .*file\.pth holds no state dict"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_what_differs(
    tiny: MakeTrial, tmp_path: Path, file: dict[str, Any] | list[Any] | None, message: str
) -> None:
    if file is None:
        file = build_model("resnet8", 100, (1, 8, 8)).state_dict()
    torch.save(file, tmp_path / "file.pth")
    wrong = tiny(teacher={"model": "resnet8", "checkpoint": str(tmp_path / "file.pth")})
    with pytest.raises(ValueError, match=message):
        load_teacher(wrong.teacher, wrong.data, CPU, None)


def test_of_an_older_checkpoint_that_almost_fits_only_what_differs_is_named(tiny: MakeTrial, tmp_path: Path) -> None:
    # Its layers are numbered, block by block: convolution, batch-norm, ReLU.
    numbers = {"conv2d": 0, "bn": 1}
    older = {
        re.sub(r"\.(\d)\.(conv2d|bn)\.", lambda at: f".{3 * int(at[1]) + numbers[at[2]]}.", key): value
        for key, value in build_model("vgg11", 100, (1, 8, 8)).state_dict().items()
    }
    torch.save(older, tmp_path / "file.pth")
    wrong = tiny(teacher={"model": "vgg11", "checkpoint": str(tmp_path / "file.pth")})
    with pytest.raises(
        ValueError, match=r"vgg11: shapes: classifier\.weight is \(100, 512\), not \(10, 512\), classifier\.bias [^;]*$"
    ):
        load_teacher(wrong.teacher, wrong.data, CPU, None)


def test_a_file_that_has_changed_since_the_trial_was_planned_is_refused(tiny: MakeTrial, tmp_path: Path) -> None:
    path = tmp_path / "teacher.pth"
    weights = build_model("resnet8", 10, (1, 8, 8)).state_dict()
    torch.save(weights, path)
    planned = with_contents(tiny(teacher={"model": "resnet8", "checkpoint": str(path)}))
    load_teacher(planned.teacher, planned.data, CPU, None)
    torch.save({key: value + 1 for key, value in weights.items()}, path)
    load_teacher.cache_clear()  # as in another process
    with pytest.raises(ValueError, match=r"teacher\.checkpoint: .* is not the file that was asked for"):
        load_teacher(planned.teacher, planned.data, CPU, None)


def test_a_recipe_beside_a_checkpoint_is_refused() -> None:
    with pytest.raises(ValidationError, match="epochs cannot be set beside it"):
        TeacherConfig(model="resnet8", checkpoint="x.pth", epochs=3)


def test_a_digest_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(ValidationError, match="sha256: of a checkpoint alone, and none is named"):
        TeacherConfig(model="resnet8", sha256="0" * 64)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKTF_CACHE", "")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_directory() == Path("/home/someone/.cache/cktf")


def test_a_user_without_a_home_is_asked_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKTF_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(InputError, match="~nobody-of-this-name/cache: is no name of a folder"):
        cache_directory()


def test_a_full_disk_is_said_with_the_place(tiny: MakeTrial, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Storage.write

    def refuse(place: Storage, name: str, content: bytes) -> None:
        if name.endswith("checkpoint.pt"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(place, name, content)

    monkeypatch.setattr(Storage, "write", refuse)
    config = tiny(teacher={"model": "resnet8", "epochs": 2})
    with pytest.raises(InputError, match=rf"^{cache}: No space left on device$"):
        load_teacher(config.teacher, config.data, CPU, None)
