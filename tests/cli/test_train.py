"""``cktf train``: one trial, without Ray."""

import re
from pathlib import Path

import pytest
import torch

from tests.cli.commands import cktf


def test_train_trains_one_trial_without_ray(study: Path, tmp_path: Path) -> None:
    code, out, _ = cktf("train", study, "--arm", "careful", "--seed", "1", "--set", "epochs=1", cwd=tmp_path)
    assert code == 0
    assert "epoch   1/1" in out
    assert [path.name for path in tmp_path.iterdir()] == ["rates.yaml"]


def test_a_smoke_run_of_one_trial_uses_the_cpu_alone(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cktf.trial.run.default_device", lambda: torch.device("meta"))  # as if there were a GPU
    code, out, _ = cktf("train", study, "--smoke", cwd=tmp_path)
    assert code == 0
    assert "epoch   1/" in out


def test_train_shows_phases_that_no_split_can_score(study: Path, tmp_path: Path) -> None:
    study.write_text(
        study.read_text()
        .replace("baseline:", "baseline:\n  task: transfer\n  source: {name: digits}\n  probe: {epochs: 2}")
        .replace("cross_entropy: {weight: 1.0}", "kd: {weight: 1.0}")
        .replace("  epochs: 2", "  teacher: {model: resnet5, epochs: 1}\n  epochs: 1")
    )
    code, out, _ = cktf("train", study, cwd=tmp_path)
    assert code == 0
    transfer, *probe = (line for line in out.splitlines() if line.startswith("epoch"))
    assert "1/3  transfer  loss" in transfer
    assert "validation" not in transfer
    assert len(probe) == 2
    assert all(re.search(r"[23]/3  probe  loss .*  validation \d+\.\d\d %", line) for line in probe)


def test_train_tells_a_diverging_trial_in_one_line(study: Path, tmp_path: Path) -> None:
    code, _, err = cktf("train", study, "--arm", "diverging", cwd=tmp_path)
    assert code == 1
    assert "loss is" in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("plain_registries")
def test_an_error_in_the_training_step_of_a_plug_in_names_its_line(study: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from cktf.objectives import Objective, ObjectiveSettings\n"
        "class Mine(Objective):\n"
        "    'The sum of products of logits, which do not fit together.'\n"
        "    needs_teacher = False\n"
        "    class Config(ObjectiveSettings):\n"
        "        pass\n"
        "    def __init__(self, config, context):\n"
        "        super().__init__()\n"
        "        self.term_weights = {'own': 1.0}\n"
        "    def forward(self, student, teacher, batch):\n"
        "        return {'own': student.logits @ student.logits}\n"
        "OBJECTIVES = {'mine': Mine}\n"
    )
    study.write_text(
        "plugins: [mine.py]\n"
        + study.read_text().replace("cross_entropy: {weight: 1.0}", "cross_entropy: {weight: 1.0}, mine: {}")
    )
    code, _, err = cktf("train", study, cwd=tmp_path)
    assert code == 2
    assert re.match(r"mine\.py, line 11: raises RuntimeError: .*mat1 and mat2 shapes cannot be multiplied", err)
    assert "fault of cktf" not in err
