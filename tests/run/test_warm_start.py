"""Searches that learn from another run, and searches whose domains grow: real planners and ledgers, made-up scores."""

from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from analysis.loading import load
from analysis.report.methods import methods_text
from cktf.cli.studies import validate
from cktf.errors import InputError, NotExtensible
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Row, StudyRow
from cktf.run.growth import added_in_words, require_grown
from cktf.run.warm_start import observe, warm_start_in_words
from cktf.storage import Storage
from cktf.study.load import dump_study
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import by_learning_rate, planned
from tests.runs import go_on, rows_of

RATE, MOMENTUM = "optimizer.learning_rate", "optimizer.momentum"
RATES: dict[str, Any] = {RATE: {"float": [0.01, 0.1]}, MOMENTUM: {"choice": [0.0, 0.5]}}


def trained(spec: StudySpec, place: Path, run_to_end: RunToEnd, most: int = 1000) -> Planner:
    """Launch, resume or extend a run; end after so many trials, as by a kill."""
    return go_on(spec, place, run_to_end, by_learning_rate, most=most, at_once=1)[0]


def tried(place: Path) -> list[dict[str, Any]]:
    return [row.params for row in planned(rows_of(place, Row))]


@pytest.fixture
def first(tmp_path: Path, make_spec: MakeSpec, run_to_end: RunToEnd) -> Path:
    """A design: its arms are settings of the search."""
    trained(make_spec(ablate={RATE: [0.02, 0.5], MOMENTUM: [0.5]}, seeds=2), tmp_path / "first", run_to_end)
    return tmp_path / "first"


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsgaii", "cmaes"])
def test_observations_come_first_and_a_resume_does_without_the_other_run(
    sampler: str, first: Path, tmp_path: Path, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    spec = make_search(search={RATE: RATES[RATE]}, sampler=sampler, trials=6, warm_start=str(first))
    found = observe(spec)
    kept = [row for row in planned(rows_of(first, Row)) if row.config["optimizer"]["learning_rate"] <= 0.1]
    assert len(found["observations"]) == len({row.arm_id for row in kept})
    assert found["left_out"] == {f"with {RATE} outside of its domain": 1}
    assert found["differing"] == {MOMENTUM: 1}
    assert f"differ from this study in {MOMENTUM}; left out: 1 with {RATE} outside" in warm_start_in_words(found)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    planner = trained(spec, whole, run_to_end)
    trained(spec, cut, run_to_end, most=2)
    rmtree(first)
    trained(spec, cut, run_to_end, most=2)
    resumed = trained(spec, cut, run_to_end)
    assert tried(cut) == tried(whole)
    assert resumed._search
    told = [trial.values for trial in resumed._search._suggestions._study.trials[: len(found["observations"])]]
    assert told == [each["scores"] for each in found["observations"]]
    assert len(tried(whole)) == planner.total() == 6
    assert [bool(row.warm_start) for row in rows_of(cut, StudyRow)] == [True, False, False]


def test_the_seeds_of_crossed_teachers_are_no_other_setting(
    tmp_path: Path, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    taught: Any = {"teacher": {"model": "resnet5", "epochs": 1}, "objective": {"kd": {}}}
    how: dict[str, Any] = {"baseline": taught, "trials": 2, "teacher_seeds": [5, 7], "sampler": "tpe"}
    trained(make_search(**how), tmp_path / "first", run_to_end)
    found = observe(make_search(**how, warm_start=str(tmp_path / "first")))
    assert (len(found["observations"]), found["differing"]) == (2, {})


def test_a_missing_run_another_metric_and_a_sampler_that_does_not_learn_are_refused(
    first: Path, tmp_path: Path, make_search: MakeSpec
) -> None:
    with pytest.raises(InputError, match=r"warm_start: .*nowhere: there is no run"):
        observe(make_search(sampler="tpe", warm_start=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match=r"must be a run with the metric validation_loss.*validation_accuracy"):
        observe(make_search(sampler="tpe", warm_start=str(first), metric="validation_loss"))
    with pytest.raises(StudyError, match="sampler: must be one that learns with 'warm_start:'"):
        make_search(warm_start=str(first), sampler="random")


def test_validate_counts_the_observations_and_the_report_says_how_many_there_were(
    first: Path, tmp_path: Path, make_search: MakeSpec, run_to_end: RunToEnd, capsys: pytest.CaptureFixture[str]
) -> None:
    domains = {**RATES, MOMENTUM: {"choice": [0.9, 0.5]}}
    spec = make_search(search=domains, sampler="tpe", prune="median", trials=6, warm_start=str(first))
    count = len(observe(spec)["observations"])
    file = tmp_path / "study.yaml"
    file.write_text(dump_study(spec))
    validate(file)
    assert f"warm start: {count} arms of {first} taken" in " ".join(capsys.readouterr().out.split())
    planner = trained(spec, tmp_path / "run", run_to_end)
    assert f"first learnt from {count} arms of another run" in methods_text(load(tmp_path / "run"))
    # observations have no epochs, so none of them counts among the arms that one is compared with
    first_five = {row.arm_id for row in planned(rows_of(tmp_path / "run", Row))[:5]}
    assert {
        planner.state.trials[key].status.value
        for key in planner.state.trials
        if planner.state.trials[key].planned.arm_id in first_five
    } == {"complete"}


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_a_wider_search_goes_on_after_a_kill_as_if_there_was_none(
    sampler: str, tmp_path: Path, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    wide = {RATE: {"float": [0.001, 0.5]}, MOMENTUM: {"choice": [0.9, 0.0, 0.5]}}
    narrow, wider = (make_search(search=each, sampler=sampler, trials=n) for each, n in ((RATES, 5), (wide, 14)))
    for place in ("whole", "cut"):
        trained(narrow, tmp_path / place, run_to_end)
    old = [row.trial_id for row in rows_of(tmp_path / "cut", PlannedRow)]
    trained(wider, tmp_path / "whole", run_to_end)
    for most in (3, 3, 1000):
        trained(wider, tmp_path / "cut", run_to_end, most=most)
    assert tried(tmp_path / "cut") == tried(tmp_path / "whole")
    assert len(tried(tmp_path / "cut")) == 14
    assert [row.trial_id for row in planned(rows_of(tmp_path / "cut", Row))][:5] == old
    assert any(not 0.01 <= params[RATE] <= 0.1 for params in tried(tmp_path / "cut")[5:])
    assert added_in_words(narrow, wider) == f"the wider domains {RATE}, {MOMENTUM}; 9 more trials"


@pytest.mark.parametrize(
    "domains",
    [
        {**RATES, RATE: {"float": [0.02, 0.5]}},
        {**RATES, RATE: {"float": [0.01, 0.5], "log": True}},
        {**RATES, RATE: {"float": [0.005, 0.505], "step": 0.1}},
        {**RATES, RATE: {"float": [0.01, 0.5], "when": {MOMENTUM: "> 0"}}},
        {**RATES, RATE: {"choice": [0.01, 0.1]}},
        {MOMENTUM: RATES[MOMENTUM], "optimizer.weight_decay": {"float": [0.0, 0.1]}},
    ],
)
def test_a_narrower_domain_is_refused_by_name(domains: dict[str, Any], tmp_path: Path, make_search: MakeSpec) -> None:
    old, new = make_search(search=RATES), make_search(search=domains)
    with pytest.raises(NotExtensible, match=rf"search.{RATE}: must contain .*0.01, 0.1"):
        require_grown(new, old, Storage(tmp_path))
