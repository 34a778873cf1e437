"""Writing a plug-in or a shipped study to start from, and validating it."""

import re
import shutil
import subprocess
import sys
import zipfile
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


ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "search_spaces").glob("*.yaml"))


def test_every_shipped_study_is_listed_with_its_question() -> None:
    code, said = run("examples")
    assert code == 0
    words = " ".join(said.replace("│", " ").split())
    assert len(SHIPPED) > 10
    assert all(file.stem in said for file in SHIPPED)
    assert "digits_ablation Which parts of CKTF+KD help a small student" in words


def test_a_shipped_study_is_written_with_the_schema_for_editors_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    question, _, rest = (ROOT / "search_spaces" / "digits_ablation.yaml").read_text().partition("\n")
    shipped = f"{question}\n# yaml-language-server: $schema=study.schema.json\n{rest}"
    assert run("init", "digits_ablation")[1].startswith("digits_ablation.yaml is written; ")
    assert (tmp_path / "digits_ablation.yaml").read_text() == shipped
    schema = tmp_path / "study.schema.json"
    assert schema.read_text() == run("schema")[1]
    schema.write_text("of a user's plug-ins")
    assert run("init", "digits_ablation", "mine.yaml")[0] == 0
    assert schema.read_text() == "of a user's plug-ins"
    assert (tmp_path / "mine.yaml").read_text() == shipped
    code, said = run("init", "digits_search", "mine.yaml")
    assert (code, "mine.yaml: File exists" in said) == (2, True)
    assert (tmp_path / "mine.yaml").read_text() == shipped
    code, said = run("init", "digits")
    assert code == 2
    assert said.startswith("NAME: must be one of cifar100_cktf_ablation, ")
    assert said.endswith("; got 'digits'\n")


@pytest.mark.slow
def test_a_wheel_has_the_shipped_studies_and_templates(tmp_path: Path) -> None:
    for name in ("cktf", "analysis", "search_spaces"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        assert {f"cktf/examples/{file.name}" for file in SHIPPED} <= names
        assert (
            packed.read("cktf/examples/digits_ablation.yaml")
            == (ROOT / "search_spaces/digits_ablation.yaml").read_bytes()
        )
    assert "cktf/templates/objective.py" in names
