"""Teachers whose classes are not the student's: their features are read, and nothing else of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cktf.errors import InputError, NotRunnable
from cktf.models import build_model
from cktf.objectives import OBJECTIVES
from cktf.run.preflight import require_runnable
from cktf.trial.check import check_trial
from cktf.trial.run import run_trial
from tests.kinds import MakeSpec, MakeTrial

FEATURES = {"cross_entropy": {}, "at": {}, "cktf": {"negatives": 32}}
READ_LOGITS = {"kd", "dkd", "dist", "catkd", "simkd"}


@pytest.fixture
def seven(tmp_path: Path) -> dict[str, Any]:
    """A teacher from a file that knows seven classes."""
    torch.save(build_model("resnet8", 7, (1, 8, 8)).state_dict(), tmp_path / "seven.pth")
    return {"model": "resnet8", "checkpoint": str(tmp_path / "seven.pth"), "classes": 7}


def test_students_learn_from_the_features_of_a_checkpoint_of_other_classes(
    tiny: MakeTrial, make_spec: MakeSpec, seven: dict[str, Any]
) -> None:
    config = tiny(teacher=seven, objective=FEATURES, epochs=1)
    check_trial(config)
    (result,) = run_trial(config)
    assert {"at.stage1", "cktf.stage1"} <= result.terms.keys()
    assert result.validation_accuracy is not None
    spec = make_spec({"teacher": seven, "objective": FEATURES})
    assert require_runnable(spec) == [], "its accuracy means nothing here"
    with pytest.raises(NotRunnable, match=r"health: compares the logits of student and teacher, which are not of the"):
        require_runnable(spec.model_copy(update={"health": {"every": 1}}))


def test_a_teacher_may_be_trained_on_another_data_set_than_its_students(tiny: MakeTrial) -> None:
    source = {"name": "cifar100", "generated": True, "side": 8}
    data = {"name": "cifar10", "generated": True, "side": 8}
    teacher = {"model": "resnet5", "epochs": 1}
    config = tiny(source=source, data=data, teacher=teacher, objective=FEATURES, epochs=1)
    check_trial(config)
    (result,) = run_trial(config)
    assert result.phase == "train"
    assert {"at.stage1", "cktf.stage1"} <= result.terms.keys()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_an_objective_that_reads_logits_is_refused_by_name(tiny: MakeTrial, seven: dict[str, Any], name: str) -> None:
    objective: dict[str, Any] = {"cross_entropy": {}, name: {}}
    if name not in READ_LOGITS:
        assert tiny(teacher=seven, objective=objective).has_other_classes
        return
    for where, changes in {"teacher.classes": {"teacher": seven}, "source": {"source": {"name": "mnist"}}}.items():
        with pytest.raises(
            ValidationError, match=rf"{where}: the teacher's classes .* and objective\.{name} reads its"
        ):
            tiny(objective=objective, **changes)


def test_what_has_no_other_classes_is_told(tiny: MakeTrial, seven: dict[str, Any]) -> None:
    del seven["classes"]
    with pytest.raises(InputError, match=r"resnet8: shapes: fc\.weight is \(7, 64\), not \(10, 64\)"):
        check_trial(tiny(teacher=seven, objective=FEATURES))
    with pytest.raises(ValidationError, match="classes: of a checkpoint alone, and none is named"):
        tiny(teacher={"model": "resnet8", "classes": 7}, objective=FEATURES)
    with pytest.raises(ValidationError, match="source: is the data set of a teacher, and there is none"):
        tiny(teacher=None, source={"name": "digits"}, objective={"cross_entropy": {}})
