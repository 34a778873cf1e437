"""Trials taken back: what the ledger, the folder and a later launch then say."""

from pathlib import Path
from typing import Any

import pytest

from analysis import load
from cktf.errors import InputError, RunInUse, RunNotFound
from cktf.plan.planner import Planner
from cktf.rows import EndRow, PlannedRow, Status
from cktf.run.directory import write_what_was_asked
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.progress import read_run
from cktf.run.withdrawal import withdraw
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import next_row
from tests.runs import rows_of


def written(spec: StudySpec, run: Path, run_to_end: RunToEnd, most: int = 100) -> str:
    """Write a run of which so many trials have ended, each with a file; return its place."""
    with Ledger(Storage(run)) as ledger:
        write_what_was_asked(spec, Storage(run), ledger)
        planner = Planner(spec, ledger.append)
        run_to_end(planner, lambda row, _: 50.0 + row.seed, most=most, at_once=1)
    for trial_id in planner.state.trials:
        Storage(run).write(f"trials/{trial_id}/student.safetensors", b"weights")
    return str(run)


def yes(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    "design", [{}, {"search": {"optimizer.momentum": {"float": [0, 0.9]}}, "trials": 3, "seeds": 2}]
)
def test_a_withdrawn_result_is_a_failed_trial_that_is_run_again_on_request(
    design: dict[str, Any], make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd
) -> None:
    spec = make_spec(**design)
    run = written(spec, tmp_path / "run", run_to_end)
    before = rows_of(run, object)
    trial = rows_of(run, PlannedRow)[0].trial_id
    said = withdraw(run, yes, trial[:8], None, None, "its machine\nwas broken")
    assert "'cktf resume --retry-failed' trains it from its beginning" in said
    assert rows_of(run, object)[: len(before)] == before, "nothing is taken from the ledger"
    (*_, last) = rows_of(run, EndRow)
    assert (last.trial_id, last.status) == (trial, Status.FAILED)
    assert last.reason == "withdrawn by the user: its machine was broken"
    assert not (tmp_path / "run" / "trials" / trial).exists()
    assert len([*tmp_path.glob("run/trials/*")]) == len(rows_of(run, PlannedRow)) - 1
    assert [each.planned.trial_id for each in read_run(run, read_ledger)[1].failures()] == [trial]

    left: list[Any] = []
    assert Planner(spec, left.append, read_ledger(Storage(run))).is_done, "without being asked, it stays as it is"
    again = Planner(spec, left.append, read_ledger(Storage(run)), retry_failed=True)
    assert next_row(again).trial_id == trial
    again.on_end(trial, Status.COMPLETE)
    assert again.state.counts()[Status.COMPLETE] == len(rows_of(run, PlannedRow))


def test_a_trial_without_epochs_only_loses_its_files(make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd) -> None:
    run = written(make_spec(), tmp_path / "run", run_to_end, most=1)
    count = len(rows_of(run, object))
    said = withdraw(run, yes, None, "momentum=0", 1, "")
    assert said.endswith("planned: withdrawn; 'cktf resume' trains it from its beginning")
    assert len(rows_of(run, object)) == count
    assert len([*tmp_path.glob("run/trials/*")]) == 3


@pytest.mark.parametrize("has_ended", [True, False])
def test_what_a_withdrawn_trial_is_trained_to_again_counts_and_not_what_was_withdrawn(
    has_ended: bool, make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd, make_result: MakeResult
) -> None:
    spec = make_spec(seeds=1)
    run = written(spec, tmp_path / "run", run_to_end, most=1 if has_ended else 0)
    with Ledger(Storage(run)) as ledger:
        planner = Planner(spec, ledger.append, read_ledger(Storage(run)))
        trial = rows_of(run, PlannedRow)[0].trial_id
        planner.on_epoch(trial, make_result(1, 50.0))
    withdraw(run, yes, trial, None, None, "")
    with Ledger(Storage(run)) as ledger:
        again = Planner(spec, ledger.append, read_ledger(Storage(run)), retry_failed=has_ended)
        assert run_to_end(again, lambda _, epoch: 70.0 + epoch, at_once=1)[0] == trial
    for state in (again.state, read_run(run)[1]):
        assert state.trials[trial].scores == [72.0]
        assert state.counts() == {Status.COMPLETE: 2}
    assert again.state.trials[trial].wall_seconds == 4.0
    epochs = load(run).epochs
    assert epochs.loc[epochs["trial_id"] == trial, "validation_accuracy"].tolist() == [71.0, 72.0]


def test_nothing_is_done_without_consent_or_while_a_driver_is_at_work(
    make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd
) -> None:
    run = written(make_spec(), tmp_path / "run", run_to_end)
    count, asked = len(rows_of(run, object)), list[str]()

    def refuses(what: str) -> bool:
        asked.append(what)
        return False

    assert withdraw(run, refuses, None, "baseline", 0, "") == ""
    assert asked[0].startswith("baseline, seed 0 (")
    with pytest.raises(InputError, match="no trials; there are"):
        withdraw(run, yes, None, "none", 0, "")
    with Ledger(Storage(run)), pytest.raises(RunInUse):
        withdraw(run, yes, None, "baseline", 0, "")
    assert len(rows_of(run, object)) == count


def test_where_there_is_no_run_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        withdraw(f"{tmp_path}/run", yes, "abc", None, None, "")
    assert not [*tmp_path.iterdir()]
