"""What is said of one trial of a run."""

from pathlib import Path
from typing import Any

import pytest

from cktf.errors import InputError
from cktf.run.one_trial import changes_of, facts_of, find_trial
from cktf.run.progress import read_run
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import fifty
from tests.runs import go_on


def test_a_teacher_s_seed_is_a_change_where_it_is_a_factor_and_none_where_teachers_are_crossed(
    tmp_path: Path, make_spec: MakeSpec, run_to_end: RunToEnd
) -> None:
    taught: Any = {"teacher": {"model": "resnet5", "epochs": 1}, "objective": {"kd": {}}}
    varied: Any = {"ablate": {"teacher.seed": [3]}}
    crossed: Any = {"ablate": {"objective.kd.weight": [2.0]}, "teacher_seeds": [5, 7]}
    for keys, changes in ((varied, [("teacher.seed", 0, 3)]), (crossed, [("objective.kd.weight", 1.0, 2.0)])):
        place = f"{tmp_path}/{len(keys)}"
        go_on(make_spec(taught, seeds=1, **keys), place, run_to_end, fifty)
        study, state = read_run(place)
        (other, *_) = [key for key, each in state.trials.items() if each.planned.arm != "baseline"]
        assert changes_of(find_trial(state, other, None, None), state, study) == changes


def test_trials_of_crossed_teachers_are_told_apart(tmp_path: Path, make_spec: MakeSpec, run_to_end: RunToEnd) -> None:
    taught: Any = {"teacher": {"model": "resnet5", "epochs": 1}, "objective": {"kd": {}}}
    spec = make_spec(taught, ablate={"objective.kd.weight": [2.0]}, seeds=1, teacher_seeds=[0, 7])
    go_on(spec, f"{tmp_path}/run", run_to_end, fifty)
    study, state = read_run(f"{tmp_path}/run")
    with pytest.raises(
        InputError, match=r"2 trials; .*\(baseline, seed 0\), .* \(baseline, seed 0 at teacher seed 7\)"
    ):
        find_trial(state, None, "baseline", 0)
    shown = {dict(facts_of(each, study))["seed"] for each in state.trials.values()}
    assert shown == {"0", "0 at teacher seed 7"}
