"""Runs in other tools, read back by the tools' own packages; a second export adds nothing, a later one what is new."""

import builtins
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import analysis
from analysis.exports import export
from analysis.exports.trials import tracked
from analysis.results import Results
from cktf.errors import InputError
from cktf.rows import WITHDRAWN, EndRow, Stage, Status
from tests.analysis.ledgers import LedgerWriter, study_row


@pytest.fixture
def results(ablation: Path) -> Results:
    return analysis.load(ablation)


def expected_of(results: Results, metric: str) -> dict[str, list[float]]:
    """Return trial to its values of a metric, by epoch, of the trials that have any."""
    epochs = results.epochs.dropna(subset=[metric]).sort_values("epoch")
    return {str(trial): own[metric].tolist() for trial, own in epochs.groupby("trial_id")}


def test_tensorboard_reads_the_curves(results: Results, tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    place = tmp_path / "logs"
    assert export(results, "tensorboard", str(place)) > 0
    assert export(results, "tensorboard", str(place)) == 0
    expected = expected_of(results, "validation_accuracy")
    folders = sorted(place.iterdir())
    assert len(folders) == len(expected)
    for folder in folders:
        read = events.EventAccumulator(str(folder)).Reload()
        (trial,) = [each for each in expected if folder.name.endswith(each[:8])]
        assert [point.value for point in read.Scalars("validation_accuracy")] == pytest.approx(expected[trial])
        assert "_hparams_/session_start_info" in read.Tags()["tensors"]


def test_trials_of_several_teachers_at_a_seed_have_names_of_their_own(results: Results) -> None:
    taught = [results.trials.assign(**{"config.teacher.seed": seed}) for seed in (0, 7)]
    plain, alone, other = (
        [trial.name for trial in tracked(replace(results, trials=trials))] for trials in (results.trials, *taught)
    )
    assert alone == plain
    assert other == [f"{name} at teacher seed 7" for name in plain]


def test_a_run_that_goes_on_is_added_to(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    early, late = growing(tmp_path / "early", 2), growing(tmp_path / "late", 4)
    export(early, "tensorboard", str(tmp_path / "logs"))
    assert export(late, "tensorboard", str(tmp_path / "logs")) == 1
    (folder,) = (tmp_path / "logs").iterdir()
    points = events.EventAccumulator(str(folder)).Reload().Scalars("train_loss")
    assert [point.step for point in points] == [1, 2, 3, 4]


def test_a_trial_whose_arm_was_renamed_keeps_its_folder_of_events(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    writer = LedgerWriter(tmp_path / "run")
    long_name = ", ".join(f"objective.cktf.part{number}.temperature=0.125" for number in range(9))
    writer.add(study_row())
    for arm in ("temperature=0.5", long_name):
        writer.train(writer.plan(arm, 0), 90.0)
    assert export(analysis.load(writer.close()), "tensorboard", str(tmp_path / "logs")) == 2
    names = {folder.name for folder in (tmp_path / "logs").iterdir()}
    writer.add(study_row(renamed={"arm-temperature=0.5": {"arm": "cktf.temperature=0.5", "aliases": []}}))
    assert export(analysis.load(writer.close()), "tensorboard", str(tmp_path / "logs")) == 0
    assert {folder.name for folder in (tmp_path / "logs").iterdir()} == names


def test_trials_of_several_studies_are_known_by_their_own_ids(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    own = growing(tmp_path / "run", 2)
    trials, epochs = (
        each.assign(trial_id="run-1/" + each["trial_id"].astype(str)) for each in (own.trials, own.epochs)
    )
    united = Results(trials=trials, epochs=epochs, facts=own.facts)  # as `analysis.load` has those of different studies
    counts = [export(each, "tensorboard", str(tmp_path / "logs")) for each in (united, united, own)]
    assert counts == [1, 0, 0]


@pytest.mark.filterwarnings("ignore")  # its own
def test_mlflow_reads_runs_settings_and_curves(tmp_path: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    place = str(tmp_path / "mlflow.db")
    early, late = growing(tmp_path / "early", 2), growing(tmp_path / "late", 4)
    assert (export(early, "mlflow", place), export(late, "mlflow", place), export(late, "mlflow", place)) == (1, 1, 0)
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{place}")
    (run,) = client.search_runs([client.get_experiment_by_name("digits_ablation").experiment_id])
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert sorted((point.step, point.value) for point in history) == [
        (step, value) for step, value in enumerate(expected_of(late, "train_loss").popitem()[1], start=1)
    ]
    assert run.data.params["arm"] == "baseline"
    assert run.info.status == "RUNNING"
    assert {"stage", "git_commit"} <= run.data.tags.keys()
    assert not {"device", "node"} & run.data.tags.keys()  # known when it has ended


@pytest.mark.filterwarnings("ignore")  # its own
def test_wandb_reads_its_offline_runs(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("wandb")

    few = Results(trials=results.trials.head(2), epochs=results.epochs, facts=results.facts)
    expected = expected_of(results, "validation_accuracy")
    assert export(few, "wandb", str(tmp_path)) == 2
    assert export(few, "wandb", str(tmp_path)) == 0
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    for file in files:
        items = [{item.key or item.nested_key[0]: item for item in row.history.item} for row in records_in(file)]
        values = [float(own["validation_accuracy"].value_json) for own in items if "validation_accuracy" in own]
        (trial,) = [each for each in expected if file.stem.endswith(each)]
        assert values == pytest.approx(expected[trial])


def records_in(file: Path) -> Iterator[Any]:
    """Yield the records of an offline run: LevelDB's log format behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    content, at, parts = file.read_bytes(), 7, list[bytes]()
    assert content.startswith(b":W&B")
    while at < len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(b"".join(parts))
            parts.clear()


def test_optuna_reads_a_study(search: Path, tmp_path: Path) -> None:
    import optuna

    found, place = analysis.load(search), str(tmp_path / "optuna.db")
    results = Results(trials=found.trials.head(6), epochs=found.epochs, facts=found.facts)
    count = export(results, "optuna", place)
    assert export(results, "optuna", place) == 0
    study = optuna.load_study(study_name=results.facts.study.study, storage=f"sqlite:///{place}")
    ended = results.trials[results.trials["status"].isin([Status.COMPLETE, Status.PRUNED, Status.FAILED])]
    assert count == len(study.trials) == len(ended)
    complete = ended[ended["status"] == Status.COMPLETE].set_index("trial_id")["validation_accuracy"]
    values = {
        each.user_attrs["trial_id"]: each.value for each in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    }
    assert values == pytest.approx(complete.to_dict())


def test_optuna_gets_each_choice_of_several_kinds(tmp_path: Path) -> None:
    import optuna

    levels = [(0.1, True), (None, "auto"), (0.5, True)]
    writer = LedgerWriter(tmp_path / "run")
    writer.add(study_row(design="search", factors=["smoothing", "flip"], report_metric="validation_accuracy"))
    for number, (smoothing, flip) in enumerate(levels):
        params = {"smoothing": smoothing, "flip": flip}
        writer.train(writer.plan(f"arm {number}", 0, params, stage=Stage.SEARCH), 80.0 + number)
    domains = "{smoothing: {choice: [null, 0.1, 0.5]}, flip: {choice: [true, auto]}}"
    (writer.close() / "study.yaml").write_text(f"search: {domains}\n")
    place = str(tmp_path / "optuna.db")
    export(analysis.load(writer.run), "optuna", place)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{place}")
    read = [(each.params["smoothing"], each.params["flip"]) for each in study.trials]
    assert read == [("null" if smoothing is None else smoothing, flip) for smoothing, flip in levels]


def test_optuna_gets_a_baseline_whose_level_has_no_logarithm(tmp_path: Path) -> None:
    import optuna

    writer = LedgerWriter(tmp_path / "run")
    names = {"factors": ["decay"], "log_factors": ["decay"], "report_metric": "validation_accuracy"}
    writer.add(study_row(design="search", **names))
    writer.train(writer.plan("baseline", 0, stage=Stage.CONFIRM, decay=0.0), 80.0)
    writer.train(writer.plan("decay=0.01", 0, {"decay": 0.01}, stage=Stage.SEARCH, decay=0.01), 81.0)
    (writer.close() / "study.yaml").write_text("search: {decay: {float: [0.0001, 0.1], log: true}}\n")
    export(analysis.load(writer.run), "optuna", str(tmp_path / "optuna.db"))
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    assert [each.params for each in study.trials] == [{}, {"decay": 0.01}]
    assert study.trials[1].distributions["decay"] == optuna.distributions.FloatDistribution(0.0001, 0.1, log=True)


def test_optuna_gets_a_baseline_whose_level_is_no_number_as_a_schedule_is(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / "run")
    writer.add(study_row(design="search", factors=["decay"], log_factors=["decay"]))
    writer.train(writer.plan("baseline", 0, stage=Stage.CONFIRM, decay="cosine"), 80.0)
    writer.train(writer.plan("decay=0.01", 0, {"decay": 0.01}, stage=Stage.SEARCH, decay=0.01), 81.0)
    (writer.close() / "study.yaml").write_text("search: {decay: {float: [0.0001, 0.1], log: true}}\n")
    assert export(analysis.load(writer.run), "optuna", str(tmp_path / "optuna.db")) == 2


def withdrawn(run: Path) -> tuple[Results, Results, Results]:
    """Return the results of a run before its one trial is withdrawn, after that, and when it has been trained anew."""
    writer = LedgerWriter(run)
    writer.add(study_row())
    trial_id = writer.plan("baseline", 0)
    writer.train(trial_id, 99.0)
    before = analysis.load(writer.close())
    writer.add(EndRow(trial_id=trial_id, status=Status.FAILED, reason=WITHDRAWN, epochs=4, time=1_700_000_300.0))
    between = analysis.load(writer.close())
    writer.plan("baseline", 0)
    writer.train(trial_id, 90.0)
    lines = (writer.close() / "ledger/000003.jsonl").read_text()
    (run / "ledger/000003.jsonl").write_text(lines.replace('"time":17000001', '"time":17000004'))
    return before, between, analysis.load(run)


def test_tensorboard_gets_the_epochs_of_a_withdrawn_trial_anew(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    before, between, after = withdrawn(tmp_path / "run")
    exported = [export(each, "tensorboard", str(tmp_path / "logs")) for each in (before, between, after, after)]
    assert exported == [1, 0, 1, 0]
    (folder,) = (tmp_path / "logs").iterdir()
    points = events.EventAccumulator(str(folder)).Reload().Scalars("validation_accuracy")
    assert [point.value for point in points] == pytest.approx(expected_of(after, "validation_accuracy").popitem()[1])


@pytest.mark.filterwarnings("ignore")  # its own
def test_mlflow_gets_the_epochs_of_a_withdrawn_trial_anew(tmp_path: Path) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    place = str(tmp_path / "mlflow.db")
    before, between, after = withdrawn(tmp_path / "run")
    assert [export(each, "mlflow", place) for each in (before, between, after, after)] == [1, 1, 1, 0]
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{place}")
    (run,) = client.search_runs([client.get_experiment_by_name("digits_ablation").experiment_id])
    values = [point.value for point in client.get_metric_history(run.info.run_id, "validation_accuracy")]
    assert sorted(values) == sorted(expected_of(after, "validation_accuracy").popitem()[1])


def test_optuna_is_not_left_with_a_withdrawn_result(tmp_path: Path) -> None:
    before, between, after = withdrawn(tmp_path / "run")
    place = str(tmp_path / "optuna.db")
    assert (export(before, "optuna", place), export(before, "optuna", place)) == (1, 0)
    for each in (between, after):
        with pytest.raises(InputError, match=r"has a result of trial .* that was withdrawn since; name another place"):
            export(each, "optuna", place)


def test_optuna_takes_no_study_of_the_other_direction(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / "losses")
    writer.add(study_row(metric="validation_loss", maximise=False))
    writer.train(writer.plan("kd", 0), 80.0)
    place = str(tmp_path / "optuna.db")
    export(withdrawn(tmp_path / "run")[0], "optuna", place)
    with pytest.raises(InputError, match=r"optuna\.db: has this study with other directions"):
        export(analysis.load(writer.close()), "optuna", place)


def test_a_missing_package_is_named(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name.startswith("wandb"):
            raise ImportError("No module named 'wandb'")
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"needs a package that is not there: pip install 'cktf\[trackers\]'"):
        export(results, "wandb", str(tmp_path))


def test_foreign_trials_are_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("arm,seed,epoch,acc\nbaseline,0,1,90\nbaseline,0,2,91\n")
    theirs = analysis.read_csv(tmp_path / "theirs.csv", metric="acc", step="epoch")
    with pytest.raises(InputError, match=r"--to mlflow: takes the trials of a run, .* the CSV file .*theirs\.csv"):
        export(theirs, "mlflow", str(tmp_path / "mlflow.db"))


@pytest.mark.parametrize("tracker", ["optuna", "tensorboard"])
def test_a_place_that_cannot_be_written_to_is_named(results: Results, tmp_path: Path, tracker: str) -> None:
    pytest.importorskip(tracker)
    place = tmp_path / "notes.txt"
    place.write_text("no database, and no folder\n")
    with pytest.raises(InputError, match=f"notes\\.txt: --to {tracker} cannot write there: .*Error: "):
        export(results, tracker, str(place))


def growing(run: Path, epochs: int) -> Results:
    """Return the results of a run of one trial that has so many of its epochs behind it."""
    writer = LedgerWriter(run)
    writer.add(study_row())
    writer.train(writer.plan("baseline", 0), 90.0, epochs=epochs, status=None)
    return analysis.load(writer.close())
