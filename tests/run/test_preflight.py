"""What would fail trials is told before one starts."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cktf.errors import NotRunnable
from cktf.run import preflight as runnable
from cktf.run.preflight import MAX_ARMS_BUILT, remarks_on_data, require_runnable
from cktf.study.designs import every_arm, smoke_study
from cktf.study.problems import StudyError
from tests.kinds import MakeSpec

KD = {"objective": {"cross_entropy": {"weight": 0.1}, "kd": {"weight": 0.9}}}

TOO_DEEP = {"model": "torchvision/vgg11"}
"""A network that leaves nothing of images as small as the digits."""

VISION_TRANSFORMER = {
    "model": "torchvision/vit_b_16",
    "stem": "conv_proj",
    "stages": [["encoder.layers.encoder_layer_3"], ["encoder.layers.encoder_layer_11"]],
    "penultimate": "encoder.ln",
}
"""A network that reads images of one size alone."""


@pytest.mark.parametrize(
    ("path", "level", "told"),
    [
        ("augmentation.crop", 64, r"arm crop=64: phase train: augmentation\.crop: must be 8 or less"),
        ("data", {"name": "cifar10", "root": "void"}, r"arm data=.*: cifar10 is not there.*void"),
        ("student", TOO_DEEP, r"arm student=.*: student\.model: torchvision/vgg11: cannot read images"),
        (
            "student",
            VISION_TRANSFORMER,
            r"student\.model: torchvision/vit_b_16: cannot read .*\(1, 8, 8\); data\.side sets another: .*patch size",
        ),
        ("objective.cktf", {"pairs": [{"student": "stage9", "teacher": "stage1"}]}, r"arm .*: .*stage9"),
    ],
)
def test_an_arm_that_cannot_be_built_is_told_with_its_name(
    make_spec: MakeSpec, path: str, level: Any, told: str
) -> None:
    spec = make_spec({"teacher": {"model": "resnet5"}}, ablate={path: [level], "optimizer.momentum": [0.1]})
    with pytest.raises(NotRunnable, match=told):
        require_runnable(spec)
    for arm in every_arm(spec):
        if arm.name in ("baseline", "momentum=0.1"):
            require_runnable(spec, arm)


@pytest.mark.parametrize("domain", [{"int": [0, 64]}, {"choice": [2, 64]}])
def test_the_edges_of_a_search_are_tried_where_no_condition_stands_before_them(
    make_spec: MakeSpec, domain: dict[str, Any]
) -> None:
    with pytest.raises(NotRunnable, match=r"arm crop=64: .*must be 8 or less"):
        require_runnable(make_spec(search={"augmentation.crop": domain}))
    sides = {"data.side": {"choice": [8, 64]}, "augmentation.crop": {**domain, "when": {"data.side": 64}}}
    require_runnable(make_spec(search=sides))


def test_each_of_several_teachers_can_be_changed_added_left_out_and_is_looked_at(make_spec: MakeSpec) -> None:
    two = {"a": {"model": "resnet8", "epochs": 4}, "b": {"model": "resnet5", "epochs": 1}}
    several = {**KD, "teacher": None, "teachers": two}
    spec = make_spec(several, ablate={"teachers.a.epoch": [2], "teachers_as": ["drawn"]})
    assert [arm.name for arm in every_arm(spec)] == ["baseline", "epoch=2", "teachers_as=drawn"]
    arms = {
        "one": {"teachers": None, "teacher": two["a"]},
        "other": {"teachers": {"b": None, "c": {"model": "resnet8", "epochs": 1}}},
        "wrong": {
            "teachers": {"b": {"model": "resnet5", "checkpoint": "no.pth", "epochs": 240}},
            "teachers_as": "drawn",
        },
    }
    spec = make_spec(several, compare=arms)
    _, one, other, _ = every_arm(spec)
    assert [[*arm.config.teachers_by_key] for arm in (one, other)] == [["teacher"], ["teachers.a", "teachers.c"]]
    with pytest.raises(NotRunnable, match=r"arm wrong: teachers\.b: teacher\.checkpoint: .*no\.pth"):
        require_runnable(spec)
    assert [arm.config.teachers for arm in every_arm(smoke_study(spec))][3] is not None
    require_runnable(smoke_study(spec))
    with pytest.raises(StudyError, match=r"ablate\.teachers\.a\.epoch\[0\]: .*must be 4 or less"):
        make_spec(several, ablate={"teachers.a.epoch": [9]})


def test_a_teacher_that_a_student_is_measured_against_is_missed(make_spec: MakeSpec) -> None:
    missing = {"teacher": {"model": "resnet5", "checkpoint": "void"}}
    ablated = {"ablate": {"optimizer.momentum": [0.1]}}
    require_runnable(make_spec(missing, **ablated))
    with pytest.raises(NotRunnable, match=r"arm baseline: teacher\.checkpoint: .*void"):
        require_runnable(make_spec(missing, **ablated, health={}))


def test_an_arm_that_cannot_be_built_in_a_context_is_named_with_it(make_spec: MakeSpec) -> None:
    contexts = {"digits": {}, "void": {"data": {"name": "cifar10", "root": "void"}}}
    spec = make_spec(contexts=contexts, compare={"kd": {"epochs": 3}})
    with pytest.raises(NotRunnable, match=r"tiny, arm void: baseline: .*cifar10"):
        require_runnable(spec)
    # Its teacher's file is missed where an arm learns from the teacher, and in that context alone.
    missing = {"teacher": {"model": "resnet5", "checkpoint": "void"}}
    contexts = {"trained": {"teacher": {"model": "resnet5"}}, "void": missing}
    keys = {"contexts": contexts, "compare": {"kd": KD, "longer": {"epochs": 3}}}
    spec = make_spec(**keys)
    with pytest.raises(NotRunnable, match=r"tiny, arm void: kd: .*void"):
        require_runnable(spec)
    spec = make_spec(**keys, skip={"void": ["kd"]})
    require_runnable(spec)


def test_of_many_combinations_as_many_are_built_as_show_every_level(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = [1.0 + step / 8 for step in range(20)]
    factors = {"objective.kd.temperature": levels, "objective.kd.weight": levels, "augmentation.crop": [0, 2]}
    spec = make_spec({"teacher": {"model": "resnet5"}, **KD}, grid=factors)
    assert len(every_arm(spec)) > MAX_ARMS_BUILT
    built = []
    monkeypatch.setattr(runnable, "check_trial", lambda config, *_, **__: built.append(config))
    require_runnable(spec)
    assert len(built) < 50
    assert {config.objective.kd.temperature for config in built} >= set(levels)
    assert {config.objective.kd.weight for config in built} >= set(levels)
    assert {config.augmentation.crop for config in built} >= {0, 2}


def test_a_level_that_cannot_be_built_is_found_among_many_combinations(make_spec: MakeSpec) -> None:
    levels = [1.0 + step / 8 for step in range(20)]
    factors = {"objective.kd.temperature": levels, "objective.kd.weight": levels, "augmentation.crop": [0, 64]}
    with pytest.raises(NotRunnable, match=r"crop=64: phase train: augmentation\.crop: must be 8 or less"):
        require_runnable(make_spec({"teacher": {"model": "resnet5"}, **KD}, grid=factors))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two classes, of which one image stands in both parts."""
    for number, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (tmp_path / place).mkdir(parents=True)
        for shade in range(2):
            Image.new("L", (9, 9), 60 * number + shade).save(tmp_path / place / f"{shade}.png")
    (tmp_path / "test" / "dog" / "copy.png").write_bytes((tmp_path / "train" / "cat" / "0.png").read_bytes())
    return tmp_path


def test_what_is_odd_about_a_study_s_images_is_said_once(make_spec: MakeSpec, folder: Path) -> None:
    data = {"name": "image_folder", "root": str(folder), "side": 16}
    (said,) = remarks_on_data(make_spec({"data": data}, ablate={"data.train_fraction": [0.5, 0.7]}))
    assert "1 of the test images are training images" in said
    assert remarks_on_data(make_spec()) == []


def test_images_that_cannot_be_learnt_from_are_named_with_the_arm(make_spec: MakeSpec, folder: Path) -> None:
    data = {"name": "image_folder", "root": str(folder), "side": 16}
    spec = make_spec({"data": data}, ablate={"data.side": [None, 24]})
    with pytest.raises(NotRunnable, match=r"arm side=null: data\.side: image_folder has images of any size"):
        remarks_on_data(spec)
    for part in ("train", "test"):
        for path in (folder / part / "dog").iterdir():
            path.unlink()
        (folder / part / "dog").rmdir()
    with pytest.raises(NotRunnable, match=r"arm baseline: data\.root: .* has one class in its training split"):
        remarks_on_data(make_spec({"data": data}))


def test_files_that_are_not_verified_are_said(make_spec: MakeSpec, tmp_path: Path) -> None:
    data = {"name": "cifar10", "root": str(tmp_path), "verify": False}
    said, missing = remarks_on_data(make_spec({"data": data}))
    assert said.startswith("data.verify: false: the files of cifar10 are not compared")
    assert missing.endswith("is not on this machine; it is not looked at")
