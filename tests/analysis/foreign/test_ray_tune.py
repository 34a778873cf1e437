"""The folder of a Ray Tune experiment as a search; ``data/ray_tune`` is a real one."""

import json
import shutil
from pathlib import Path

import pytest

from analysis import load, ray_tune, write_results
from analysis.methods import methods_text, provenance_rows
from cktf.rows import Status

REAL = Path(__file__).parents[1] / "data" / "ray_tune"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the experiment, to be changed."""
    return Path(shutil.copytree(REAL, tmp_path / "experiment"))


def test_trials_have_their_params_results_and_ends() -> None:
    results = ray_tune(REAL, metric="accuracy")
    counts = results.trials["status"].value_counts().to_dict()
    assert counts == {Status.COMPLETE: 2, Status.PRUNED: 7, Status.FAILED: 3}
    assert results.facts.study.factors == ["lr", "momentum", "optimizer"]
    for row in results.trials.to_dict("records"):
        name = row["arm"].partition(":")[0].removeprefix("trial ")
        if row["status"] == Status.FAILED:
            assert row["reason"] == "RuntimeError: loss is NaN"
            continue
        (found,) = REAL.glob(f"*{name}_*")
        lines = [json.loads(line) for line in (found / "result.json").read_text().splitlines()]
        params = json.loads((found / "params.json").read_text())
        assert (row["param.lr"], row["param.optimizer"]) == (params["lr"], params["optimizer"])
        assert row["metric.accuracy"] == lines[-1]["accuracy"]
        assert row["epochs"] == len(lines)
        on_the_way = results.epochs[results.epochs["trial_id"] == row["trial_id"]]
        assert on_the_way["metric.accuracy"].tolist() == [line["accuracy"] for line in lines]
        assert row["wall_seconds"] == lines[-1]["time_total_s"]
        if row["status"] == Status.PRUNED:
            assert row["reason"] == f"ended after {len(lines)} of 4 iterations"


def test_the_tables_of_values_are_read_where_the_lines_are_missing(folder: Path) -> None:
    known = ray_tune(folder, metric="nested/loss", maximise=False)
    for path in folder.glob("*/result.json"):
        path.unlink()
    from_tables = ray_tune(folder, metric="nested/loss", maximise=False)
    assert (
        from_tables.trials["metric.nested/loss"].tolist()[:9]
        == known.trials["metric.nested/loss"].tolist()[:9]
    )
    assert from_tables.leaderboard["score"].tolist() == known.leaderboard["score"].tolist() == [0.25, 0.25]


def test_a_trial_that_is_still_running_has_not_ended(folder: Path) -> None:
    (snapshot,) = folder.glob("experiment_state*")
    # Of the first trial in the snapshot, which ended after all its iterations.
    snapshot.write_text(snapshot.read_text().replace("TERMINATED", "RUNNING", 1))
    results = ray_tune(folder, metric="accuracy")
    assert (results.trials["status"] == Status.RUNNING).sum() == 1


def test_without_a_snapshot_errors_tell_which_trials_failed(folder: Path) -> None:
    (snapshot,) = folder.glob("experiment_state*")
    known = ray_tune(folder, metric="accuracy").trials["status"].tolist()
    snapshot.unlink()
    assert ray_tune(folder, metric="accuracy").trials["status"].tolist() == known


def test_a_result_that_is_being_written_is_not_read(folder: Path) -> None:
    known = ray_tune(folder, metric="accuracy").epochs
    for path in folder.glob("*/result.json"):
        with path.open("a") as stream:
            stream.write('{"accuracy": 9')
    assert ray_tune(folder, metric="accuracy").epochs.equals(known)


def test_none_is_a_level_and_lists_are_told_as_json(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.glob("*/params.json"))):
        params = {"sizes": [number % 2, 3], "nested": {"clip": None if number % 2 else 1.5}, "same": 1}
        path.write_text(json.dumps(params))
    results = ray_tune(folder, metric="accuracy")
    assert results.facts.study.factors == ["sizes", "nested.clip"]
    assert set(results.trials["param.sizes"]) == {"[0, 3]", "[1, 3]"}
    assert set(results.trials["param.nested.clip"]) == {"None", "1.5"}


def test_the_report_has_what_a_search_has_and_says_what_is_unknown(tmp_path: Path) -> None:
    results = ray_tune(REAL, metric="accuracy")
    paths = write_results(results, tmp_path / "out")
    assert {"leaderboard", "importance"} <= set(paths.tables)
    assert "history" in paths.figures
    assert load(tmp_path / "out").facts == results.facts
    text = methods_text(results)
    assert f"were read from the Ray Tune folder {REAL}" in text
    assert "(7 pruned, 3 failed) to maximise accuracy" in text
    assert "one that ended before the longest one counts as pruned" in text
    rows = dict(provenance_rows(results))
    assert (rows["commit"], rows["nodes"]) == ("unknown", "vm")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no trial of Ray Tune lies there, which would be a folder with params"
    ):
        ray_tune(tmp_path, metric="accuracy")
    with pytest.raises(
        ValueError, match=r"no result has a number called 'acc' \(--metric\); .* accuracy, .* nested/loss"
    ):
        ray_tune(REAL, metric="acc")
