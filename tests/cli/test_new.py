"""Writing a plug-in to start from, and validating a study that names it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cktf.cli.app import app

pytestmark = pytest.mark.usefixtures("plain_registries")

STUDY = """# Do they help?
plugins: [objective.py, model.py, dataset.py, augmentation.py, metric.py]
measures: [{brier: {scale: 100}}, flops]
metric: validation_brier
baseline:
  data: {name: stripes}
  student: {model: tiny}
  teacher: {model: resnet5, epochs: 1}
  objective: {cross_entropy: {}}
compare:
  directions: {objective: {directions: {}}}
  erase: {augmentation: {erase: {side: 3}}}
"""


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_what_is_written_can_be_named_by_a_study_at_once(tmp_path: Path) -> None:
    for kind in ("objective", "model", "dataset", "augmentation", "metric"):
        code, said = run("new", kind, str(tmp_path / f"{kind}.py"))
        assert (code, "is written; a study names it under 'plugins:'" in said) == (0, True)
    (tmp_path / "study.yaml").write_text(STUDY)
    code, said = run("validate", str(tmp_path / "study.yaml"))
    assert code == 0, said
    assert "directions" in said
    assert "3 arms x 5 seeds = 15 trials" in said


def test_validate_builds_what_a_study_names(tmp_path: Path) -> None:
    run("new", "model", str(tmp_path / "model.py"))
    broken = (tmp_path / "model.py").read_text().replace("widths[-1], num_classes", "widths[-1] + 1, num_classes")
    (tmp_path / "model.py").write_text(broken)
    study = STUDY.replace("objective.py, model.py, dataset.py, augmentation.py, metric.py", "model.py")
    study = study.replace("measures: [{brier: {scale: 100}}, flops]\nmetric: validation_brier\n", "")
    study = study.replace("stripes", "digits").partition("compare:")[0] + "compare: {kd: {objective: {kd: {}}}}\n"
    (tmp_path / "study.yaml").write_text(study)
    code, said = run("validate", str(tmp_path / "study.yaml"))
    assert (code, "student.model: tiny: cannot read images of shape (1, 8, 8)" in said) == (2, True), said
    (tmp_path / "model.py").write_text(broken.replace("super().__init__()", "super().__init__(3)"))
    code, said = run("validate", str(tmp_path / "study.yaml"))
    assert code == 2, said
    assert re.search(r"study, arm baseline: model\.py, line \d+: raises TypeError: ", said), said


def test_a_kind_that_is_none_and_a_file_that_is_there_are_refused(tmp_path: Path) -> None:
    assert run("new", "loss", str(tmp_path / "a.py")) == (
        2,
        "KIND: must be one of augmentation, dataset, metric, model, objective; got 'loss'\n",
    )
    assert run("new", "model", str(tmp_path / "a.txt"))[0] == 2
    (tmp_path / "a.py").write_text("mine")
    code, said = run("new", "model", str(tmp_path / "a.py"))
    assert code == 2
    assert "File exists" in said
    assert (tmp_path / "a.py").read_text() == "mine"
