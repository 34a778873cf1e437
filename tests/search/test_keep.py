"""Which files of the trials stay."""

import pytest

from cktf.rows import EndRow, Status
from cktf.search.keep import Keeper
from cktf.search.planner import Planner
from cktf.storage import Storage


def by_arm(row, _):
    return 90.0 if row.arm == "baseline" else 80.0


@pytest.mark.parametrize(("keep", "kept"), [("all", 4), ("best", 2), ("none", 0)])
def test_students_stay_as_the_study_says(keep, kept, make_spec, tmp_path, rows, run_to_end):
    spec, run = make_spec(keep=keep), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    keeper = Keeper(run, planner.state, spec)
    for trial_id in planner.state.trials:
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")
        run.write(f"trials/{trial_id}/checkpoint.pt", b"all")
    planner.listeners.append(keeper)
    run_to_end(planner, by_arm)
    keeper.finish()
    assert len(list(tmp_path.glob("trials/*/student.safetensors"))) == kept
    assert not list(tmp_path.glob("trials/*/checkpoint.pt"))


def test_the_checkpoint_of_a_failed_trial_stays_for_another_try(make_spec, tmp_path, rows):
    spec, run = make_spec(), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    run.write("trials/a/checkpoint.pt", b"all")
    run.write("trials/a/error.txt", b"why")
    keeper = Keeper(run, planner.state, spec)
    keeper(EndRow(trial_id="a", status=Status.FAILED))
    assert run.exists("trials/a/checkpoint.pt")
    keeper(EndRow(trial_id="a", status=Status.COMPLETE))
    assert not list(tmp_path.glob("trials/a/*"))
