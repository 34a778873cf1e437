"""What MLflow, TensorBoard and W&B have stored or exported; the first two by their own packages, if installed."""

import math
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from analysis import read_mlflow, read_tensorboard, read_wandb
from analysis.results import Results
from cktf.errors import InputError
from cktf.rows import Status
from tests.cli.commands import cktf

SCORES = {"none": (70.0, 71.5, 70.5), "kd": (73.0, 74.75, 73.25)}
"""Arm to the score at each seed."""


def effects(results: Results) -> list[list[object]]:
    return results.effects[["arm", "n_pairs", "effect"]].round(6).to_numpy().tolist()


RIGHT = [["kd", 3, 3.0]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store that MLflow wrote: a sweep of six runs, and of a seventh that failed, and an empty experiment."""
    mlflow = pytest.importorskip("mlflow")
    place = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"
    with warnings.catch_warnings(action="ignore"):  # MLflow uses what its libraries are about to drop
        write_runs(mlflow.MlflowClient(tracking_uri=place), failed=1)
    return place


def write_runs(client: Any, *, failed: int = 0) -> None:
    """Write a run for each score, and of a further seed so many that failed."""
    experiment = client.create_experiment("students")
    runs = [(arm, seed, score) for arm, scores in SCORES.items() for seed, score in enumerate(scores)]
    below = {"mlflow.parentRunId": client.create_run(experiment, run_name="sweep").info.run_id}
    for arm, seed, score in runs + [("kd", 3, 1.0)] * failed:
        run = client.create_run(experiment, run_name=f"{arm}-s{seed}", tags=below).info.run_id
        client.log_param(run, "method", arm)
        client.log_param(run, "seed", seed)
        client.log_metric(run, "val/acc", score - 5, step=1)
        client.log_metric(run, "val/acc", score, step=2)
        client.log_metric(run, "loss", math.inf if seed == 2 else -score)
        client.set_terminated(run, status="FAILED" if seed == 3 else "FINISHED")


@pytest.mark.slow
def test_runs_of_an_mlflow_store_are_compared_by_params_or_names(store: str, tmp_path: Path) -> None:
    before = Path(store.removeprefix("sqlite:///")).read_bytes()
    by_params = read_mlflow(store, name="students", metric="val/acc", arm="method", baseline="none")
    by_names = read_mlflow(store, metric="metrics.val/acc", names="{arm}-s{seed}", baseline="none")
    assert effects(by_params) == effects(by_names) == RIGHT
    assert (by_params.trials["status"] == Status.FAILED).sum() == 1
    diverged = read_mlflow(store, metric="loss", maximise=False, arm="method", baseline="none").trials
    assert sorted(diverged.loc[diverged["status"] == Status.FAILED, "seed"]) == [2, 2, 3]
    assert Path(store.removeprefix("sqlite:///")).read_bytes() == before
    import mlflow

    table = tmp_path / "runs.csv"
    with warnings.catch_warnings(action="ignore"):
        mlflow.set_tracking_uri(store)
        mlflow.search_runs(experiment_names=["students"]).to_csv(table, index=False)
    assert effects(read_mlflow(table, metric="val/acc", arm="params.method", baseline="none")) == RIGHT
    with pytest.raises(InputError, match=r"--study names one of its experiments; there are: .*students"):
        read_mlflow(store, name="other", metric="val/acc")
    with pytest.raises(InputError, match=r"no column is called 'net' \(--arm\); there are: .*method"):
        read_mlflow(store, metric="val/acc", arm="net")
    with pytest.raises(InputError, match="the run 'kd-s3' is not called as --names"):
        read_mlflow(store, metric="val/acc", names="{arm}/{seed}")


@pytest.mark.slow
def test_a_folder_of_mlflow_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings(action="ignore"):
        write_runs(mlflow.MlflowClient(tracking_uri=str(tmp_path / "mlruns")))
    found = read_mlflow(tmp_path / "mlruns", metric="val/acc", names="{arm}-s{seed}", baseline="none")
    assert effects(found) == RIGHT


def test_what_is_no_store_is_told_and_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MLflow store lies there"):
        read_mlflow(tmp_path, metric="acc")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(InputError, match="there is no file"):
        read_mlflow(f"sqlite:///{tmp_path}/none.db", metric="acc")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(InputError, match="no MLflow store: it lacks its tables"):
        read_mlflow(f"sqlite:///{tmp_path}/other.db", metric="acc")
    assert (tmp_path / "other.db").read_bytes() == before


MLFLOW = """\
run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.acc,metrics.loss,params.seed,params.method,\
tags.mlflow.runName
a1,1,FINISHED,/x,2026-01-01,2026-01-01,70.0,0.9,0,none,none-s0
a2,1,FINISHED,/x,2026-01-01,2026-01-01,71.5,0.8,1,none,none-s1
a3,1,FINISHED,/x,2026-01-01,2026-01-01,73.0,0.7,0,kd,kd-s0
a4,1,FINISHED,/x,2026-01-01,2026-01-01,74.75,0.6,1,kd,kd-s1
a5,1,KILLED,/x,2026-01-01,2026-01-01,12.0,0.6,2,kd,kd-s2
"""


def test_a_table_of_mlflow_is_read_without_it(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(MLFLOW)
    for asked in ({"arm": "method"}, {"arm": "params.method", "seed": "params.seed"}, {"names": "{arm}-s{seed}"}):
        found = read_mlflow(tmp_path / "runs.csv", metric="acc", baseline="none", **asked)
        assert effects(found) == [["kd", 2, 3.125]]
        assert found.trials["status"].tolist()[-1] == Status.FAILED
    head, *runs = MLFLOW.splitlines()
    nested = [
        f"{head},tags.mlflow.parentRunId",
        "a0,1,FINISHED,/x,2026-01-01,2026-01-01,,,,,sweep,",
        *(f"{run},a0" for run in runs),
    ]
    (tmp_path / "sweep.csv").write_text("\n".join(nested))
    assert effects(read_mlflow(tmp_path / "sweep.csv", metric="acc", arm="method", baseline="none")) == [
        ["kd", 2, 3.125]
    ]
    with pytest.raises(InputError, match=r"--metric says which of its numbers is compared; there are: .*acc, loss"):
        read_mlflow(tmp_path / "runs.csv", arm="method")
    with pytest.raises(InputError, match=r"runs\.csv: cluster 'seed': .* needs 4 or more; got 3: 0, 1, 2"):
        read_mlflow(tmp_path / "runs.csv", metric="acc", arm="method", baseline="none", cluster="params.seed")


def write_events(folder: Path, values: list[float], hparams: dict[str, object] | None = None) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step, value in enumerate(values):
            writer.add_scalar("val/acc", value, step)
            writer.add_scalar("loss", -value, step)
        if hparams:
            writer.add_hparams(hparams, {"hparam/last": values[-1]})


@pytest.mark.slow
def test_event_files_are_compared_by_hyperparameters_or_folders(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for arm, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write_events(
                tmp_path / arm / f"s{seed}", [score - 5, score + 1, score], {"method": arm, "seed": seed, "lr": 0.1}
            )
    found = read_tensorboard(tmp_path, metric="val/acc", arm="method", baseline="none")
    assert effects(found) == RIGHT
    assert len(found.trials) == 6
    assert found.epochs["metric.val/acc"].tolist()[:3] == [68, 74, 73]
    assert effects(read_tensorboard(tmp_path, metric="val/acc", names="{arm}/s{seed}", baseline="none")) == RIGHT
    best = read_tensorboard(tmp_path, metric="val/acc", names="{arm}/s{seed}", baseline="none", best=True)
    assert best.trials["metric.val/acc"].tolist()[:1] == [74.0]
    assert best.facts.foreign is not None
    assert any(
        text.startswith("A trial is scored by its best value") for text in best.facts.foreign.cannot_be_vouched_for
    )
    with pytest.raises(InputError, match=r"--metric names a scalar of the event files below it; there are: .*val/acc"):
        read_tensorboard(tmp_path)
    (tmp_path / "kd" / "s0" / "events.out.tfevents.9").write_bytes(b"no events" * 20)
    write_events(tmp_path / "kd" / "s3", [1.0])
    found = read_tensorboard(tmp_path, metric="val/acc", names="{arm}/s{seed}", baseline="none")
    assert found.facts.foreign is not None
    assert "Trials that end before step 2, the last of the longest, and count: 1 (kd/s3 at 0)." in (
        found.facts.foreign.cannot_be_vouched_for
    )


@pytest.mark.slow
def test_a_run_without_a_value_in_its_event_files_has_failed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for arm, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write_events(tmp_path / arm / f"s{seed}", [score], {"arm": arm, "seed": seed})
    for place in ("at/s0", "kd/s0/loss", "profile"):  # only the first is called as runs are
        with SummaryWriter(str(tmp_path / place)) as writer:
            writer.add_scalar("loss", 1.0, 0)
            if place == "at/s0":
                writer.add_hparams({"arm": "at", "seed": 0}, {})
    for names in ("{arm}/s{seed}", None):
        found = read_tensorboard(tmp_path, metric="val/acc", names=names, baseline="none")
        failed = found.trials[found.trials["status"] == Status.FAILED]
        assert failed[["arm", "reason"]].to_numpy().tolist() == [["at", "no val/acc in its event files"]]
        assert found.effects["n_family"].tolist() == [2, 2]


@pytest.mark.slow
def test_a_run_without_a_value_is_no_second_trial_beside_one_of_the_same_arm_and_seed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for arm, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write_events(tmp_path / arm / f"s{seed}" / "version_1", [score])
    for place in ("kd/s0/version_0", "at/s0/train", "at/s0/validation"):
        with SummaryWriter(str(tmp_path / place)) as writer:
            writer.add_scalar("loss", 1.0, 0)
    found = read_tensorboard(tmp_path, metric="val/acc", names="{arm}/s{seed}/{any}", baseline="none")
    assert effects(found)[:1] == RIGHT
    assert found.trials.loc[found.trials["status"] == Status.FAILED, "arm"].tolist() == ["at"]


RUNS = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","method","seed","val.acc","_step"
"kd-s0","finished","-","me","","2026-01-05T10:00:00.000Z","12","","kd","0","73","4"
"kd-s1","finished","-","me","","2026-01-05T10:00:00.000Z","12","","kd","1","74.75","4"
"kd-s2","finished","-","me","","2026-01-05T10:00:00.000Z","12","","kd","2","73.25","4"
"none-s0","finished","-","me","","2026-01-05T10:00:00.000Z","12","","none","0","70","4"
"none-s1","finished","-","me","","2026-01-05T10:00:00.000Z","12","","none","1","71.5","4"
"none-s2","finished","-","me","","2026-01-05T10:00:00.000Z","12","","none","2","70.5","4"
"kd-s3","crashed","-","me","","2026-01-05T10:00:00.000Z","3","","kd","3","60","1"
"""
"""The table of a project's runs, as its button for CSV writes it."""


def panel() -> str:
    """Return the CSV of a panel of six runs, each of which ends in its score; of one each point is of two steps."""
    runs = {f"{arm}-s{seed}": score for arm, scores in SCORES.items() for seed, score in enumerate(scores)}
    metrics = [f"{run} - {metric}" for run in runs for metric in ("_step", "val.acc")]
    lines = [["Step", *(f"{metric}{end}" for metric in metrics for end in ("", "__MIN", "__MAX"))]]
    for step in (0, 10, 20):
        line = [str(step)]
        for run, score in runs.items():
            value = "" if (run, step) == ("kd-s0", 10) else str(score - 20 + step)
            spread = "0" if run == "kd-s1" else value
            line += [str(step)] * 3 + [value, spread, value]
        lines.append(line)
    return "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines)


def test_exports_of_wandb_are_compared(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(RUNS)
    for asked in ({"arm": "method"}, {"names": "{arm}-s{seed}"}):
        found = read_wandb(tmp_path / "runs.csv", metric="val.acc", baseline="none", **asked)
        assert effects(found) == RIGHT
        assert found.trials["status"].tolist()[-1] == Status.FAILED
    (tmp_path / "panel.csv").write_text(panel())
    found = read_wandb(tmp_path / "panel.csv", names="{arm}-s{seed}", baseline="none")
    assert effects(found) == RIGHT
    assert found.epochs["epoch"].tolist() == [0, 10, 20] * 3 + [0, 20] + [0, 10, 20] * 2
    assert found.facts.foreign is not None
    assert "Points of the panel that are means over several steps or runs, which is how W&B exports many: 3." in (
        found.facts.foreign.cannot_be_vouched_for
    )
    (tmp_path / "blank.csv").write_text(
        "Step,none-s0 - acc,none-s1 - acc,kd-s0 - acc,kd-s1 - acc\n0,70,71,73,\n1,70,71,73,\n"
    )
    blank = read_wandb(tmp_path / "blank.csv", names="{arm}-s{seed}", baseline="none").trials
    assert blank["status"].tolist() == [*[Status.COMPLETE] * 3, Status.FAILED]
    (tmp_path / "again.csv").write_text("Step,none-s0-a - acc,kd-s0-a - acc,kd-s0-b - acc,odd - acc\n0,70,,73,\n")
    again = read_wandb(tmp_path / "again.csv", names="{arm}-s{seed}-{any}", baseline="none").trials
    assert again["metric.acc"].tolist() == [70, 73]
    history = ["method,seed,_step,acc"]
    history += [
        f"{arm},{seed},{step},{score if step == 8 else '' if step else 1}"
        for arm, scores in SCORES.items()
        for seed, score in enumerate(scores)
        for step in (9, 8, 0)
    ]
    (tmp_path / "history.csv").write_text("\n".join(history))
    assert effects(read_wandb(tmp_path / "history.csv", arm="method", baseline="none")) == RIGHT
    (tmp_path / "twice.csv").write_text("Step,none-s0 - acc,kd-s0 - acc,kd-s0 - acc\n1,70,73,75\n")
    with pytest.raises(InputError, match=r"2 columns are called 'kd-s0 - acc' \(--metric\); rename all but one"):
        read_wandb(tmp_path / "twice.csv", names="{arm}-s{seed}", baseline="none")
    with pytest.raises(InputError, match=r"--metric names one of the panel's: val\.acc"):
        read_wandb(tmp_path / "panel.csv", metric="acc", names="{arm}-s{seed}")
    with pytest.raises(InputError, match="--names: no column Name or run"):
        read_wandb(tmp_path / "history.csv", metric="acc", names="{arm}-s{seed}")
    with pytest.raises(InputError, match="says where arm, seed or context stand"):
        read_wandb(tmp_path / "runs.csv", metric="val.acc", names="{run}-s{seed}")


def compared_and_reported(folder: Path, *asked: str) -> None:
    """Check that the command line compares what lies in a folder, and reports it there."""
    asked += ("--metric", "val/acc", "--baseline", "none")
    code, out, err = cktf("compare", *asked, cwd=folder)
    assert code == 0, err
    assert "+3.0" in out
    code, out, err = cktf("report", *asked, "--out", "report", cwd=folder)
    assert code == 0, err
    assert "+3.0" in out
    assert (folder / "report" / "report.html").is_file()


def test_the_command_line_reads_exports_of_wandb(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(RUNS.replace("val.acc", "val/acc"))
    compared_and_reported(tmp_path, "runs.csv", "--from", "wandb", "--names", "{arm}-s{seed}")


@pytest.mark.slow
def test_the_command_line_reads_an_mlflow_store(store: str) -> None:
    place = Path(store.removeprefix("sqlite:///"))
    compared_and_reported(
        place.parent, f"sqlite:///{place.name}", "--from", "mlflow", "--study", "students", "--arm", "method"
    )


@pytest.mark.slow
def test_the_command_line_reads_event_files_of_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for arm, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write_events(tmp_path / "events" / arm / f"s{seed}", [score - 5, score])
    compared_and_reported(tmp_path, "events", "--from", "tensorboard", "--names", "{arm}/s{seed}")
