"""What would fail trials is told before one starts."""

import pytest

from cktf.errors import NotRunnable
from cktf.search import runnable
from cktf.search.runnable import MOST_BUILT, require_runnable
from cktf.study.designs import every_arm

KD = {"objective": {"cross_entropy": {"weight": 0.1}, "kd": {"weight": 0.9}}}

ONE_PIXEL = {
    "model": "torchvision/resnet18",
    "stem": "relu",
    "stages": [["layer1.0"], ["layer1.1"], ["layer2"], ["layer3"]],
    "penultimate": "avgpool",
}
"""A network that leaves nothing of images as small as the digits."""


@pytest.mark.parametrize(
    ("path", "level", "told"),
    [
        ("augmentation.crop", 64, r"arm crop=64: phase train: augmentation\.crop: must be 8 or less"),
        ("data", {"name": "cifar10", "root": "void"}, r"arm data=.*: cifar10 is not there.*void"),
        ("student", ONE_PIXEL, r"arm student=.*: torchvision/resnet18: cannot read images"),
        ("objective.cktf", {"pairs": [{"student": "stage9", "teacher": "stage1"}]}, r"arm .*: .*stage9"),
    ],
)
def test_an_arm_that_cannot_be_built_is_told_with_its_name(make_spec, path, level, told):
    spec = make_spec({"teacher": {"model": "resnet5"}}, ablate={path: [level], "optimizer.momentum": [0.1]})
    with pytest.raises(NotRunnable, match=told):
        require_runnable(spec)
    for arm in every_arm(spec):
        if arm.name in ("baseline", "momentum=0.1"):
            require_runnable(spec, arm)


@pytest.mark.parametrize("domain", [{"int": [0, 64]}, {"choice": [2, 64]}])
def test_the_edges_of_a_search_are_tried_where_no_condition_stands_before_them(make_spec, domain):
    with pytest.raises(NotRunnable, match=r"arm crop=64: .*must be 8 or less.*; 'when:' keeps a factor"):
        require_runnable(make_spec(search={"augmentation.crop": domain}))
    sides = {"data.side": {"choice": [8, 64]}, "augmentation.crop": {**domain, "when": {"data.side": 64}}}
    require_runnable(make_spec(search=sides))


def test_a_teacher_that_a_student_is_measured_against_is_missed(make_spec):
    missing = {"teacher": {"model": "resnet5", "checkpoint": "void"}}
    ablated = {"ablate": {"optimizer.momentum": [0.1]}}
    require_runnable(make_spec(missing, **ablated))
    with pytest.raises(NotRunnable, match=r"arm baseline: teacher\.checkpoint: .*void"):
        require_runnable(make_spec(missing, **ablated, health={}))


def test_an_arm_that_cannot_be_built_in_a_context_is_named_with_it(make_spec):
    contexts = {"digits": {}, "void": {"data": {"name": "cifar10", "root": "void"}}}
    spec = make_spec(contexts=contexts, compare={"kd": {"epochs": 3}})
    with pytest.raises(NotRunnable, match=r"tiny, arm void: baseline: .*cifar10"):
        require_runnable(spec)
    # Its teacher's file is missed where an arm learns from the teacher, and in that context alone.
    missing = {"teacher": {"model": "resnet5", "checkpoint": "void"}}
    contexts = {"trained": {"teacher": {"model": "resnet5"}}, "void": missing}
    keys = {"contexts": contexts, "compare": {"kd": KD, "longer": {"epochs": 3}}}
    spec = make_spec(**keys)
    with pytest.raises(
        NotRunnable, match=r"tiny, arm void: kd: .*void.*; 'skip:' keeps an arm out of a context"
    ):
        require_runnable(spec)
    spec = make_spec(**keys, skip={"void": ["kd"]})
    require_runnable(spec)


def test_of_many_combinations_as_many_are_built_as_show_every_level(make_spec, monkeypatch):
    levels = [1.0 + step / 8 for step in range(20)]
    factors = {"objective.kd.temperature": levels, "objective.kd.weight": levels, "augmentation.crop": [0, 2]}
    spec = make_spec({"teacher": {"model": "resnet5"}, **KD}, grid=factors)
    assert len(every_arm(spec)) > MOST_BUILT
    built = []
    monkeypatch.setattr(runnable, "check_trial", lambda config, *_, **__: built.append(config))
    require_runnable(spec)
    assert len(built) < 50
    assert {config.objective.kd.temperature for config in built} >= set(levels)
    assert {config.objective.kd.weight for config in built} >= set(levels)
    assert {config.augmentation.crop for config in built} >= {0, 2}


def test_a_level_that_cannot_be_built_is_found_among_many_combinations(make_spec):
    levels = [1.0 + step / 8 for step in range(20)]
    factors = {
        "objective.kd.temperature": levels,
        "objective.kd.weight": levels,
        "augmentation.crop": [0, 64],
    }
    with pytest.raises(NotRunnable, match=r"crop=64: phase train: augmentation\.crop: must be 8 or less"):
        require_runnable(make_spec({"teacher": {"model": "resnet5"}, **KD}, grid=factors))
