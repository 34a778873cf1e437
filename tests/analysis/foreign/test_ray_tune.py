"""The folder of a Ray Tune experiment as a search; ``data/ray_tune`` is a real one."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis import load, read_ray_tune, write_results
from analysis.figures.history import record as history
from analysis.report.methods import methods_text
from analysis.report.provenance import provenance_rows
from analysis.results import Results
from cktf.errors import InputError
from cktf.rows import Status

REAL = Path(__file__).parents[1] / "data" / "ray_tune"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the experiment, to be changed."""
    return Path(shutil.copytree(REAL, tmp_path / "experiment"))


def test_trials_have_their_params_results_and_ends() -> None:
    results = read_ray_tune(REAL, metric="accuracy")
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


def test_a_trial_that_is_still_running_has_not_ended(folder: Path) -> None:
    (snapshot,) = folder.glob("experiment_state*")
    # Of the first trial in the snapshot, which ended after all its iterations.
    snapshot.write_text(snapshot.read_text().replace("TERMINATED", "RUNNING", 1))
    results = read_ray_tune(folder, metric="accuracy")
    assert (results.trials["status"] == Status.RUNNING).sum() == 1


def test_without_a_snapshot_errors_tell_which_trials_failed(folder: Path) -> None:
    (snapshot,) = folder.glob("experiment_state*")
    known = read_ray_tune(folder, metric="accuracy").trials["status"].tolist()
    snapshot.unlink()
    assert read_ray_tune(folder, metric="accuracy").trials["status"].tolist() == known


def test_a_result_that_is_being_written_is_not_read(folder: Path) -> None:
    known = read_ray_tune(folder, metric="accuracy").epochs
    for path in folder.glob("*/result.json"):
        with path.open("a") as stream:
            stream.write('{"accuracy": 9')
    assert read_ray_tune(folder, metric="accuracy").epochs.equals(known)


def test_none_is_a_level_and_lists_are_told_as_json(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.glob("*/params.json"))):
        params = {"sizes": [number % 2, 3], "nested": {"clip": None if number % 2 else 1.5}, "same": 1}
        path.write_text(json.dumps(params))
    results = read_ray_tune(folder, metric="accuracy")
    assert results.facts.study.factors == ["sizes", "nested.clip"]
    assert set(results.trials["param.sizes"]) == {"[0, 3]", "[1, 3]"}
    assert set(results.trials["param.nested.clip"]) == {"None", "1.5"}


def test_the_report_has_what_a_search_has_and_says_what_is_unknown(tmp_path: Path) -> None:
    results = read_ray_tune(REAL, metric="accuracy")
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
    with pytest.raises(ValueError, match=r"no trial of Ray Tune lies there, which would be a folder with params"):
        read_ray_tune(tmp_path, metric="accuracy")
    with pytest.raises(
        ValueError, match=r"no result has a number called 'acc' \(--metric\); .* accuracy, .* nested/loss"
    ):
        read_ray_tune(REAL, metric="acc")


def write(folder: Path, trials: list[dict[str, Any]]) -> Path:
    """Write an experiment: of each trial its params and its lines, or its accuracies after each iteration."""
    for number, trial in enumerate(trials):
        place = folder / f"train_{number}"
        place.mkdir(parents=True)
        (place / "params.json").write_text(json.dumps(trial["params"]))
        lines = trial.get("lines") or [
            json.dumps({"training_iteration": step, "acc": acc}) for step, acc in enumerate(trial["acc"], 1)
        ]
        (place / "result.json").write_text("\n".join(lines) + trial.get("end", "\n"))
    return folder


def caveats(results: Results) -> str:
    """Return what a report says of foreign results."""
    assert results.facts.foreign is not None
    return " ".join(results.facts.foreign.cannot_be_vouched_for)


def test_a_last_line_that_is_whole_but_for_its_end_counts(tmp_path: Path) -> None:
    trials = [{"params": {"lr": lr}, "acc": [1, 2, 3 + lr]} for lr in (1, 2, 3)]
    trials[2]["end"] = ""
    results = read_ray_tune(write(tmp_path, trials), metric="acc")
    assert set(results.trials["status"]) == {Status.COMPLETE}
    assert results.leaderboard["score"].tolist() == [6, 5, 4]


def test_iterations_that_were_done_again_count_once_and_the_later_wins(tmp_path: Path) -> None:
    steps = [(1, 10), (2, 20), (3, 30), (2, 21), (3, 31), (3, 32), (4, 40)]
    lines = [json.dumps({"training_iteration": step, "acc": acc}) for step, acc in steps]
    trials: list[dict[str, Any]] = [{"params": {"lr": 1}, "lines": lines}, {"params": {"lr": 2}, "acc": [1, 2, 3, 4]}]
    results = read_ray_tune(write(tmp_path, trials), metric="acc")
    first = results.epochs[results.epochs["trial_id"] == "trial-0"]
    assert first["epoch"].tolist() == [1, 2, 3, 4]
    assert first["metric.acc"].tolist() == [10, 21, 32, 40]
    assert "done again after a restore: 3." in caveats(results)


def test_what_is_not_finite_has_failed_wherever_it_is_counted(tmp_path: Path) -> None:
    trials = [{"params": {"lr": lr}, "acc": [50 + lr] * 3} for lr in range(4)]
    trials += [{"params": {"lr": 8}, "acc": [1, 2, value]} for value in (math.inf, math.nan, -math.inf)]
    trials += [
        {"params": {"lr": 9}, "acc": [1, math.nan]},
        {"params": {"lr": 10}, "lines": [f'{{"training_iteration": 3, "acc": {"9" * 400}}}']},
    ]
    results = read_ray_tune(write(tmp_path, trials), metric="acc")
    assert results.trials["status"].tolist() == [Status.COMPLETE] * 4 + [Status.FAILED] * 5
    assert len(results.leaderboard) == 4
    assert results.searched["status"].value_counts().to_dict() == {Status.FAILED: 5, Status.COMPLETE: 4}
    drawn = history(results)
    assert drawn is not None
    assert len(drawn.rows) == 4
    assert "which count as failed: 5 of 9" in caveats(results)


def test_a_param_that_says_how_long_trials_are_makes_them_complete(tmp_path: Path) -> None:
    # By its name, where some were ended earlier; but no param of another name.
    for name, pruned in (("max_epochs", 1), ("width", 3)):
        trials = [
            {"params": {"lr": 0, name: 2}, "acc": [1, 2]},
            {"params": {"lr": 1, name: 3}, "acc": [1, 2, 3]},
        ]
        trials += [
            {"params": {"lr": 2, name: 4}, "acc": [1]},
            {"params": {"lr": 3, name: 5}, "acc": [1, 2, 3, 4, 5]},
        ]
        results = read_ray_tune(write(tmp_path / name, trials), metric="acc")
        assert (results.trials["status"] == Status.PRUNED).sum() == pruned
        assert ("as max_epochs says" in caveats(results)) == (name == "max_epochs")


def test_levels_of_several_kinds_stay_apart_and_addresses_do_not(tmp_path: Path) -> None:
    levels = [1, "1", 1.5, True, None, 1.0]
    trials: list[dict[str, Any]] = [
        {
            "params": {"c": level, "zero": -0.0 if number % 2 else 0, "f": f"<function f at 0x7f0{number}>"},
            "acc": [80.0],
        }
        for number, level in enumerate(levels)
    ]
    results = read_ray_tune(write(tmp_path, trials), metric="acc")
    assert results.facts.study.factors == ["c"]
    assert results.trials["param.c"].tolist() == ["1", '"1"', "1.5", "True", "None", "1"]
    assert results.trials["arm"][1] == 'trial 1: c="1"'
    assert "Addresses of functions and objects" in caveats(results)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("params.json", "null", "train_1/params.json: must hold a mapping, nested at most 50 deep; got null"),
        ("params.json", "[1]", "train_1/params.json: must hold a mapping, nested at most 50 deep; got [1]"),
        ("params.json", '{"lr":', "train_1/params.json: is no JSON that can be read"),
        ("params.json", "[" * 100_000, "train_1/params.json: is no JSON that can be read"),
        (
            "params.json",
            '{"a":' * 60 + "1" + "}" * 60,
            "train_1/params.json: must hold a mapping, nested at most 50 deep",
        ),
        ("params.json", '{"a":' + "[" * 1500 + "]" * 1500 + "}", "train_1/params.json: "),
        (
            "result.json",
            '{"a":' + "[" * 99 + "]" * 99 + "}\n",
            "result.json, line 1: must hold a mapping, nested at most 50 deep",
        ),
        ("result.json", f'{{"training_iteration": {"9" * 5000}}}\n', "must be a whole number; got Infinity"),
        ("result.json", "[1]\n", "train_1/result.json, line 1: must hold a mapping, nested at most 50 deep; got [1]"),
        ("result.json", '{"training_iteration": 1}\n{"a\n{}\n', "train_1/result.json, line 2: is no JSON"),
        ("result.json", '{"acc": 1}\n', "line 1: training_iteration must be a whole number; got null"),
        ("result.json", '{"training_iteration": 1e400}\n', "must be a whole number; got Infinity"),
        ("result.json", '{"training_iteration": "1"}\n', "must be a whole number; got '1'"),
        ("result.json", '{"training_iteration": null}\n', "must be a whole number; got null"),
        (
            "result.json",
            '{"training_iteration": 1, "acc": "x"}\n',
            "acc must be a number; training_iteration 1 has 'x'",
        ),
        (
            "../experiment_state-1.json",
            "null",
            "experiment_state-1.json: must hold a mapping, nested at most 50 deep; got null",
        ),
        ("../experiment_state-1.json", '{"trial_data": [1]}', "trial_data must hold pairs"),
        (
            "../experiment_state-1.json",
            '{"trial_data": [["null", ""]]}',
            "must hold a mapping, nested at most 50 deep; got null",
        ),
    ],
)
def test_odd_files_are_named_with_the_line_and_the_key(tmp_path: Path, file: str, content: str, told: str) -> None:
    write(tmp_path, [{"params": {"lr": lr}, "acc": [1, 2]} for lr in (1, 2)])
    (tmp_path / "train_1" / file).write_text(content)
    with pytest.raises(ValueError) as error:
        read_ray_tune(tmp_path, metric="acc")
    assert told in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", ["params.json", "result.json", "error.txt"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    write(tmp_path, [{"params": {"lr": lr}, "acc": [1, 2]} for lr in (1, 2)])
    path = tmp_path / "train_1" / name
    path.unlink(missing_ok=True)
    path.mkdir()
    with pytest.raises(InputError, match=f"{name}: must be a file"):
        read_ray_tune(tmp_path, metric="acc")
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(InputError, match=f"{name}: must be a file"):
        read_ray_tune(tmp_path, metric="acc")


@pytest.mark.parametrize(
    "level", ["Infinity", "-Infinity", "NaN", "9" * 400, "1e308", "null", '"\\ud800"', "[[1]]", "{}"]
)
def test_odd_levels_and_scores_are_read(tmp_path: Path, level: str) -> None:
    write(tmp_path, [{"params": {"epochs": lr}, "acc": [1, 2]} for lr in (2, 3, 1e307)])
    (tmp_path / "train_1" / "params.json").write_text(f'{{"epochs": {level}}}')
    text = f'{{"training_iteration": 1, "acc": {level if level[-1] in "y9N8" else 1}, "hostname": "\\ud800"}}\n'
    (tmp_path / "train_2" / "result.json").write_text(text)
    results = read_ray_tune(tmp_path, metric="acc")
    assert len(results.trials) == 3


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "fifo", "none"):
        with pytest.raises(InputError, match=f"^{tmp_path / name}: "):
            read_ray_tune(tmp_path / name, metric="acc")


def test_trials_whose_params_name_arm_and_seed_are_a_comparison(tmp_path: Path) -> None:
    trials = [
        {"params": {"net": {"method": method}, "seed": seed}, "acc": [99, 70 + seed + gain + seed * gain / 4]}
        for method, gain in (("none", 0), ("kd", 2))
        for seed in range(3)
    ]
    trials[-1]["acc"] = [99]
    write(tmp_path, trials)
    results = read_ray_tune(tmp_path, metric="acc", arm="net.method", baseline="none")
    assert results.effects[["arm", "n_pairs", "effect"]].to_numpy().tolist() == [["kd", 2, 2.25]]
    assert results.trials["status"].tolist()[-1] == Status.PRUNED
    same = read_ray_tune(tmp_path, metric="acc", seed="seed", contrasts=["net.method=kd, net.method=none"])
    assert same.effects["effect"].tolist() == [2.25]
    best = read_ray_tune(tmp_path, metric="acc", arm="net.method", baseline="none", best=True)
    assert best.trials["metric.acc"].tolist()[:3] == [99] * 3
    with pytest.raises(InputError, match="--contrast is of arms at seeds: --seed names the param that is the seed"):
        read_ray_tune(tmp_path, metric="acc", contrasts=["kd, none"])
