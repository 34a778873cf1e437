"""A study that a measure of a plug-in decides, on Ray, from the study file to the report's effects."""

from importlib import resources
from pathlib import Path

import pytest
from rich.console import Console

import analysis
from analysis.report.tables import main_tables
from cktf.driver import launch, resume
from cktf.errors import StudyDiffers
from cktf.rows import EpochRow, PlannedRow, StudyRow
from cktf.run.progress import status
from cktf.study.load import load_study
from cktf.trainer.measuring import LOGITS
from tests.runs import rows_of

pytestmark = pytest.mark.usefixtures("ray_on_this_machine", "plain_registries")

STUDY = """# Does momentum make students surer?
plugins: [metric.py]
baseline:
  data: {name: digits, train_fraction: 0.1}
  student: {model: resnet5}
  objective: {cross_entropy: {}}
  epochs: 2
  batch_size: 32
ablate: {optimizer.momentum: [0.0]}
measures: [{brier: {scale: 100}}, flops]
metric: validation_brier
keep_logits: true
seeds: 1
resources: {cpus: 1, gpus: 0, slots: 1}
"""


def test_a_measure_of_a_plugin_decides_a_study(tmp_path: Path, console: Console) -> None:
    (tmp_path / "metric.py").write_text((resources.files("cktf.templates") / "metric.py").read_text())
    (tmp_path / "study.yaml").write_text(STUDY)
    plain = load_study(_without_measures(tmp_path))
    run = str(tmp_path / "run")
    assert launch(load_study(tmp_path / "study.yaml"), run, console=console).complete == 2
    planned = rows_of(run, PlannedRow)
    assert {row.arm_id for row in planned} == {plain.arm("baseline").arm_id, plain.arm("momentum=0").arm_id}
    study = rows_of(run, StudyRow)[-1]
    assert (study.metric, study.report_metric) == ("measure.validation_brier", "measure.test_brier")
    assert (study.maximise, study.measures["test_brier"]) == (False, False)
    for row in rows_of(run, EpochRow):
        expected = {"validation_brier"} | ({"test_brier", "flops"} if row.epoch == 2 else set())
        assert row.measures.keys() == expected
    assert len([*Path(run).glob(f"trials/*/{LOGITS}")]) == 2
    with console.capture() as said:
        console.print(status(run))
    assert ", validation_brier " in said.get()

    results = analysis.load(run)
    (effect,) = results.effects.to_dict("records")
    by_arm = results.trials.set_index("arm")["measure.test_brier"]
    assert effect["effect"] == pytest.approx(by_arm["momentum=0"] - by_arm["baseline"])
    assert main_tables(results)[0].title == "Effects on test brier"
    assert set(results.measures["metric"]) == {"test_accuracy", "measure.flops"}
    assert results.correct().shape == (2, 549)

    # What has changed is refused; what is there goes on, from the run's own copy of the code.
    (tmp_path / "metric.py").write_text((tmp_path / "metric.py").read_text() + "# changed\n")
    with pytest.raises(StudyDiffers, match="differs in: plugins"):
        launch(load_study(tmp_path / "study.yaml"), run, console=console)
    assert resume(run, console=console).complete == 2


def _without_measures(folder: Path) -> Path:
    lines = [line for line in STUDY.splitlines() if not line.startswith(("plugins", "measures", "metric", "keep"))]
    (folder / "plain.yaml").write_text("\n".join(lines))
    return folder / "plain.yaml"
