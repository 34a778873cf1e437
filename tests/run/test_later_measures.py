"""Measures added to a run from stored outputs, and what a report then says of them."""

import gc
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import analysis
from analysis.ledger.collect import collect
from analysis.report.tables import side_tables
from analysis.report.write import page
from cktf.cli.app import app
from cktf.errors import InputError, StudyDiffers, UserError
from cktf.measures import Predictions
from cktf.measures.registry import numbers_of
from cktf.plan.planner import Planner
from cktf.rows import EpochRow, StudyRow
from cktf.run import later_measures
from cktf.run.directory import require_same, require_study
from cktf.run.later_measures import add_measures
from cktf.run.ledger import read_ledger
from cktf.storage import Storage
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec
from tests.kinds import MakeSpec
from tests.runs import begin, rows_of

pytestmark = pytest.mark.usefixtures("plain_registries")


@pytest.fixture(scope="module")
def finished(
    make_spec: MakeSpec, train_without_ray: Callable[..., object], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of two arms at two seeds whose trials stored their outputs."""
    place = tmp_path_factory.mktemp("finished") / "run"
    train_without_ray(make_spec(measures=["ece", "parameters"], keep_logits=True, seeds=2), Storage(place))
    return place


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(finished, tmp_path / "run"))


def test_what_is_added_equals_what_training_measures(
    run: str, make_spec: MakeSpec, train_without_ray: Callable[..., object], tmp_path: Path
) -> None:
    assert add_measures(run, ["nll", "balanced_accuracy"]) == "nll, balanced_accuracy: measured in 4 trials"
    train_without_ray(make_spec(measures=["nll", "balanced_accuracy"], seeds=2), Storage(tmp_path / "anew"))
    names = [f"measure.{split}_{name}" for split in ("validation", "test") for name in ("nll", "balanced_accuracy")]
    added, anew = analysis.load(run), analysis.load(tmp_path / "anew")
    assert added.trials.set_index("trial_id")[names].equals(anew.trials.set_index("trial_id")[names])
    assert added.trials["measure.test_ece"].notna().all()
    assert added.facts.measures == anew.facts.measures | {
        "measure.validation_ece": False,
        "measure.test_ece": False,
        "measure.parameters": False,
    }
    # The run goes on as if nothing had been: all is done.
    spec = require_study(Storage(run))
    planner = Planner(spec, lambda _: None, read_ledger(Storage(run)))
    planner.plan()
    assert planner.is_done
    assert [trial.wall_seconds for trial in planner.state.trials.values()] == [
        sum(row.epoch_seconds for row in {r.epoch: r for r in rows_of(run, EpochRow) if r.trial_id == key}.values())
        for key in planner.state.trials
    ]
    size = len([*read_ledger(Storage(run))])
    assert add_measures(run, ["nll"]) == "nll: measured in 0 trials; 4 had them already"
    assert len([*read_ledger(Storage(run))]) == size


def test_the_report_has_a_family_for_each_measure_and_the_images_that_were_right(run: str) -> None:
    assert CliRunner().invoke(app, ["measure", run, "top5", "nll"]).exit_code == 0
    place = Path(run) / "report"
    collect(run, place)
    results = analysis.load(place)  # of the tables alone
    found = results.measures
    assert found["metric"].tolist() == [
        "measure.parameters",
        *(f"measure.test_{name}" for name in ("ece", "nll", "top5")),
    ]
    assert (found["p_holm"].dropna() == found["p"].dropna()).all()  # one arm is compared: a family of one each
    table = side_tables(results)["measures"]
    assert [row[0] for row in table.rows[1:]] == [
        *("parameters", "test calibration error (%)", "test negative log-likelihood (nats)", "test top-5 accuracy (%)")
    ]
    assert table.remark.startswith(
        "Larger is better, but of parameters, test calibration error, test negative log-likelihood smaller. Each "
        "measure is a family of its own: p (Holm) is adjusted over the 1 comparison of one measure by"
    )
    assert "Further measures" in page(results, {}, {}, {})
    right = results.correct()
    trials = results.trials.set_index("trial_id")
    assert right.shape == (4, trials["test_images"].iloc[0])
    assert (100 * right.mean(axis="columns")).to_numpy() == pytest.approx(trials["test_accuracy"].to_numpy())
    assert analysis.load(run).correct().equals(right)


def test_a_measure_of_a_plugin_is_copied_into_the_run_and_never_mixed_with_other_code(run: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text((resources.files("cktf.templates") / "metric.py").read_text())
    assert add_measures(run, ["brier: {scale: 2}"], [str(file)]) == "brier: measured in 4 trials"
    session = rows_of(run, StudyRow)[-1]
    assert session.measure_settings["brier"] == '{"scale":2.0}'
    assert (Path(run) / "plugins" / "mine.py").read_text() == file.read_text()
    assert analysis.load(run).facts.measures["measure.test_brier"] is False
    with pytest.raises(StudyDiffers, match="brier: the run has it with the settings"):
        add_measures(run, ["brier"], [str(file)])
    file.write_text(file.read_text() + "# changed")
    with pytest.raises(StudyDiffers, match=r"plug-in mine\.py has changed .*: it was sha256 .*, and is sha256 "):
        add_measures(run, ["brier: {scale: 2}"], [str(file)])
    with pytest.raises(StudyDiffers, match=r"brier: the run has it of other code than plug-in other\.py"):
        add_measures(run, ["brier: {scale: 2}"], [str(file.rename(tmp_path / "other.py"))])


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ("flops", InputError, "flops: reads the network, and only a student's outputs are stored"),
        ("agreement", InputError, "agreement: reads the teacher"),
        ("ecce", StudyError, "ecce: unknown measure"),
        ("ece: {bins: 0}", StudyError, r"ece\.bins: must be 1 or more"),
        ("ece: {bins: 3}", StudyDiffers, r'ece: the run has it with the settings \{"bins":15\}; got \{"bins":3\}'),
    ],
)
def test_what_cannot_be_added_is_told(run: str, asked: str, error: type[UserError], said: str) -> None:
    size = len([*read_ledger(Storage(run))])
    with pytest.raises(error, match=said):
        add_measures(run, [asked])
    assert len([*read_ledger(Storage(run))]) == size


def test_trials_without_outputs_are_left_out_and_without_any_it_is_refused(run: str) -> None:
    files = sorted(Path(run).glob("trials/*/logits.safetensors"))
    files[0].unlink()
    assert add_measures(run, ["top5"]) == "top5: measured in 3 trials; 1 without stored outputs are left out"
    for file in files[1:]:
        file.unlink()
    with pytest.raises(UserError, match="no complete trial has stored outputs"):
        add_measures(run, ["nll"])
    for segment in Path(run).glob("ledger/*.jsonl"):  # as after a kill at the first launch
        segment.unlink()
    with pytest.raises(UserError, match="no complete trial has stored outputs"):
        add_measures(run, ["top5"])


def test_the_outputs_of_one_trial_at_a_time_are_in_memory(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = []

    def count() -> int:
        return sum(type(each) is Predictions for each in gc.get_objects())

    def counted(measures: Any, split: str, predictions: Predictions) -> dict[str, float]:
        in_memory.append(count() - of_other_tests)
        return numbers_of(measures, split, predictions)

    monkeypatch.setattr(later_measures, "numbers_of", counted)
    gc.collect()
    of_other_tests = count()
    add_measures(run, ["top5"])
    assert in_memory == [2] * 8, "of both splits"


def test_measures_may_change_between_launches_but_not_their_settings(run: str, make_spec: MakeSpec) -> None:
    def again(**keys: object) -> StudySpec:
        return make_spec(**{"seeds": 2, **keys})

    stored = require_study(Storage(run))
    for keys in ({}, {"measures": ["top5"]}, {"measures": ["ece", "top5"], "keep_logits": True}):
        require_same(again(**keys), stored, Storage(run))
    changed = again(measures=[{"ece": {"bins": 3}}])
    with pytest.raises(StudyDiffers, match="differs in: measures"):
        require_same(changed, stored, Storage(run))
    begin(again(), run)  # a launch without it: trials of earlier ones have it all the same
    require_same(changed, require_study(Storage(run)), Storage(run))
    with pytest.raises(StudyDiffers, match=r'ece: the run has it with the settings \{"bins":15\}; got \{"bins":3\}'):
        begin(changed, run)
    begin(again(measures=["ece"]), run)
