"""Teachers crossed with seeds, as a study asks for them."""

from typing import Any

import pytest

from cktf.errors import StudyDiffers
from cktf.run.directory import require_same
from cktf.storage import Storage
from cktf.study.designs import arm_for, plan_arms, replicates, smoke_study
from cktf.study.in_words import plan_in_words
from cktf.study.load import Study, dump_study, read_study
from cktf.study.problems import StudyError

TEACHER = {"model": "resnet8", "epochs": 1}
KD: dict[str, Any] = {"cross_entropy": {}, "kd": {}}


def spec(teacher: Any = TEACHER, objective: Any = KD, **keys: Any) -> Study:
    baseline = {
        **{"data": {"name": "digits"}, "student": {"model": "resnet5"}, "epochs": 1},
        **{"teacher": teacher, "objective": objective},
    }
    design = {} if {"search", "grid"} & keys.keys() else {"ablate": {"objective.kd.weight": [0.0]}}
    return Study(name="tiny", baseline=baseline, seeds=2, **{"teacher_seeds": 3, **design, **keys})


def test_an_arm_has_a_trial_with_each_teacher_if_it_reads_one() -> None:
    study = spec()
    assert study.teacher_seeds == (0, 1, 2)
    baseline, off = plan_arms(study)
    trials = replicates(study, baseline.config, 7)
    assert [(config.seed, config.teacher and config.teacher.seed) for config in trials] == [(7, 0), (7, 1), (7, 2)]
    assert trials[0] == baseline.config.with_seed(7)
    assert len({config.trial_id for config in trials}) == len({config.arm_id for config in trials}) == 3
    assert replicates(study, off.config, 7) == [off.config.with_seed(7)]
    assert plan_in_words(study, plan_arms(study)) == "2 arms x 3 teachers (1 without one) x 2 seeds = 8 trials"
    assert len(replicates(spec(health={"every": 1}), off.config, 0)) == 3, "each is measured against its own"


def test_a_search_may_find_the_objective_that_reads_the_teacher() -> None:
    weight = {"objective.kd.weight": {"float": [0.0, 1.0]}}
    baseline = {"cross_entropy": {"weight": 1.0}, "kd": {"weight": 0.0}}
    study = spec(search=weight, objective=baseline)
    assert len(replicates(study, arm_for(study, {"objective.kd.weight": 0.5}).config, 0)) == 3
    with pytest.raises(StudyError, match="teacher_seeds: no arm has a teacher"):
        spec(search=weight, objective=baseline, teacher={"model": "resnet8", "checkpoint": "x.pth"})


def test_it_is_part_of_the_study_and_small_in_a_smoke_run() -> None:
    study = spec(teacher_seeds=[4, 9, 11])
    assert read_study(dump_study(study), "again").teacher_seeds == (4, 9, 11)
    assert smoke_study(study).teacher_seeds == (4, 9)
    with pytest.raises(StudyDiffers, match="differs in: teacher_seeds"):
        require_same(study, spec(), Storage("/nowhere"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"teacher_seeds": [1, 1]}, "teacher_seeds: the seeds must differ from each other"),
        ({"teacher_seeds": 0}, "teacher_seeds: must be between 1 and 1000, or a list of seeds; got 0"),
        ({"teacher": {**TEACHER, "seed": 3}}, "teacher_seeds: has the seeds of all teachers, so 'teacher.seed' cannot"),
        ({"ablate": {"teacher.seed": [1]}}, "ablate.teacher.seed: cannot be set beside 'teacher_seeds:'"),
        ({"search": {"teacher.seed": {"int": [0, 3]}}}, "search.teacher.seed: cannot be set beside 'teacher_seeds:'"),
        (
            {
                "compare": {"two": {"teacher": None, "teachers": {"a": TEACHER, "b": TEACHER | {"seed": 1}}}},
                "ablate": None,
            },
            "teacher_seeds: is of one teacher, and arm two has 'teachers:'; set each one's seed there",
        ),
        ({"teacher": {"model": "resnet8", "checkpoint": "x.pth"}}, "teacher_seeds: no arm has a teacher"),
    ],
)
def test_what_cannot_be_crossed_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as error:
        spec(**keys)
    assert message in str(error.value)
