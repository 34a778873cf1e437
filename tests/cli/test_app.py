"""The command line as a user meets it: real commands, real exit codes, one clear message for what is wrong."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from cktf.cli import app as cli
from tests.analysis.ledgers import LedgerWriter, study_row, write_ablation
from tests.cli.commands import cktf, cktf_alone, message_for


def test_only_a_report_on_ray_joins_a_cluster(tmp_path: Path) -> None:
    told = message_for("report", "run", "--address", "auto", cwd=tmp_path)
    assert told == "--address auto: only --engine ray joins a cluster\n"
    told = message_for("report", "one", "other", "--engine", "ray", "--out", "both", cwd=tmp_path)
    assert told == "--engine ray: it reads the ledger of one run, without --from and --against\n"


def test_what_is_taken_of_a_machine_is_refused_before_anything_starts(study: Path, tmp_path: Path) -> None:
    launch = ("launch", study, "--run-dir", "run")
    assert "--cpus: must be a whole number between 1 and " in message_for(*launch, "--cpus", "9999", cwd=tmp_path)
    told = message_for(*launch, "--gpus", "0", "--address", "auto", cwd=tmp_path)
    assert told == "--gpus: a cluster's nodes say what they have; it goes without --address\n"
    assert not (tmp_path / "run").exists()


def test_the_shell_s_completion_is_a_script_that_calls_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    code, out, _ = cktf("--show-completion", cwd=tmp_path)
    assert code == 0
    assert "_CKTF_COMPLETE=complete_bash" in out
    assert "_cktf_completion cktf" in out


def test_foreign_results_are_reported_and_what_is_missing_is_told(tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{score + seed % 2}" for arm, score in (("none", 90), ("kd", 92)) for seed in range(3)]
    (tmp_path / "results.csv").write_text("\n".join(["method,seed,acc", *rows]))
    asked = ("report", "results.csv", "--from", "csv", "--arm", "method", "--metric", "acc")
    told = message_for(*asked, "--out", "report", cwd=tmp_path)
    assert "no arm is called 'baseline', which is to be the baseline; there are: none, kd" in told
    assert "--out is missing" in message_for(*asked, "--baseline", "none", cwd=tmp_path)
    code, out, _ = cktf(*asked, "--baseline", "none", "--out", "report", cwd=tmp_path)
    assert code == 0
    assert "92.3333" in out
    code, out, _ = cktf("plot", "report", "--figure", "effects", cwd=tmp_path)
    assert (code, out) == (0, "effects.svg\n")
    assert "--out is missing: the report of several runs" in message_for("report", "a", "b", cwd=tmp_path)


def test_validate_shows_the_arms_and_runs_nothing(study: Path, tmp_path: Path) -> None:
    code, out, _ = cktf("validate", study, cwd=tmp_path)
    assert code == 0
    assert "Does a wrong learning rate hurt?" in out
    assert "diverging" in out
    assert "3 arms x 2 seeds = 6 trials" in out
    assert "standard deviations of the differences at 2 seeds (80% power at level 0.05/2)" in out
    contrasts = ("--set", "contrasts=[[diverging, baseline]]", "--set", "expect_sd=0.5")
    _, out_of_contrasts, _ = cktf("validate", study, *contrasts, cwd=tmp_path)
    assert "(80% power at level 0.05); in the unit of the metric: " in " ".join(out_of_contrasts.split())
    assert [path.name for path in tmp_path.iterdir()] == ["rates.yaml"]
    search = ("--set", "compare=null", "--set", "search={optimizer.momentum: {float: [0, 0.9]}}")
    _, out, _ = cktf("validate", study, *search, "--set", "seeds=1", "--set", "trials=3", cwd=tmp_path)
    assert "{float: [0.0, 0.9]}" in out
    assert "3 arms x 1 seed by tpe" in out
    assert "detectable" not in out, "an arm of a search is compared with nothing"


def test_validate_takes_deviations_from_a_run_and_says_what_a_race_takes(study: Path, tmp_path: Path) -> None:
    write_ablation(tmp_path / "run").close_segment()
    code, out, err = cktf("validate", study, "--sd-from", "run", cwd=tmp_path)
    assert code == 0, err
    said = " ".join(out.split())
    assert re.search(r"in the unit of the metric: [0-9.]+ at a deviation of [0-9.]+ \(the median of the 4 compar", said)
    race = ("--set", "seeds=null", "--set", "race={looks: [2, 4]}", "--set", "alternative=better")
    margin = ("--set", "margin=-2")
    _, plain, _ = cktf("validate", study, *race, cwd=tmp_path)
    _, unknown, _ = cktf("validate", study, *race, *margin, cwd=tmp_path)
    _, known, _ = cktf("validate", study, *race, *margin, "--set", "expect_sd=0.5", cwd=tmp_path)
    plain, unknown, known = (" ".join(out.split()) for out in (plain, unknown, known))
    assert "(80% power at level 0.05/2, one-sided, if judged once, at the last look)" in plain
    assert "a race with looks at 2, 4 seeds" in plain
    assert "of an arm at the margin" in unknown

    def seeds(said: str) -> list[float]:
        return [float(found) for found in re.findall(r"([0-9.]+) of an arm", said)]

    assert seeds(plain) == seeds(unknown) != seeds(known)


def test_deviations_of_a_measure_are_taken_from_a_run_that_it_decided(study: Path, tmp_path: Path) -> None:
    run = LedgerWriter(tmp_path / "run")
    run.add(study_row(metric="measure.validation_ece", report_metric="measure.test_ece", maximise=False))
    for arm, eces in (("baseline", (5.0, 6.0, 7.0)), ("kd", (4.0, 4.5, 6.5))):
        for seed, ece in enumerate(eces):
            run.train(run.plan(arm, seed), 90.0, measures={"validation_ece": ece, "test_ece": ece})
    run.close()
    measured = ("--set", "measures=[ece]", "--set", "metric=validation_ece")
    code, out, err = cktf("validate", study, *measured, "--sd-from", "run", cwd=tmp_path)
    assert code == 0, err
    assert "at a deviation of 0.5 (that of the comparison of run-1)" in " ".join(out.split())


def test_a_run_is_reported_against_another_arm(tmp_path: Path) -> None:
    write_ablation(tmp_path / "run").close_segment()
    code, out, err = cktf("report", "run", "--against", "theta=0.0", cwd=tmp_path)
    assert code == 0, err
    assert "Afterthought: Effects on test accuracy" in out
    assert (tmp_path / "run" / "afterthought" / "report.html").is_file()
    assert not (tmp_path / "run" / "report").exists()


def test_validate_says_which_names_are_one_arm_and_train_takes_any_of_them(study: Path, tmp_path: Path) -> None:
    alike: tuple[str, ...] = (
        "--set",
        "ablate={objective.kd.temperature: [2.0], optimizer.momentum: [0.0]}",
        "--set",
        "baseline.objective.kd={weight: 0.0}",
    )
    alike = (*alike, "--set", "compare=null")
    code, out, error = cktf("validate", study, *alike, cwd=tmp_path)
    assert code == 0
    assert error.strip().endswith("what sets them apart: baseline; temperature=2")
    assert "2 arms x 2 seeds = 4 trials" in out
    losses = [
        re.findall(r"loss (\S+)", cktf("train", study, *alike, "--arm", arm, cwd=tmp_path)[1])
        for arm in ("baseline", "temperature=2")
    ]
    assert losses[0] == losses[1] != []


FRACTION = """\
# Which of four settings matter?
baseline:
  data: {name: digits, train_fraction: 0.1}
  student: {model: resnet5}
  objective: {cross_entropy: {weight: 1.0}}
  epochs: 2
fractional:
  optimizer.momentum: [0.9, 0.0]
  optimizer.learning_rate: [0.05, 0.01]
  batch_size: [64, 32]
  epochs: [2, 1]
seeds: 2
"""


def test_validate_tells_what_a_fraction_confounds(tmp_path: Path) -> None:
    (tmp_path / "four.yaml").write_text(FRACTION)
    code, out, _ = cktf("validate", "four.yaml", cwd=tmp_path)
    assert code == 0
    assert "8 arms x 2 seeds = 16 trials" in out
    assert "fraction of resolution 4: 8 of 16 combinations, the baseline one of them" in out
    assert "confounded: momentum x learning_rate, batch_size x epochs" in out


def test_wrong_input_is_told_in_one_message_and_nothing_is_begun(study: Path, tmp_path: Path) -> None:
    assert "absent.yaml" in message_for("launch", "absent.yaml", cwd=tmp_path)
    wrong = message_for("launch", study, "--set", "baseline.epochz=3", cwd=tmp_path)
    assert "baseline.epochz" in wrong
    assert "epochs" in wrong
    assert "got 0" in message_for("validate", study, "--set", "epochs=0", cwd=tmp_path)
    assert "resnet9" in message_for("validate", study, "--set", "student.model=resnet9", cwd=tmp_path)
    assert "careful, diverging" in message_for("train", study, "--arm", "bold", cwd=tmp_path)
    assert "nowhere" in message_for("resume", "nowhere", cwd=tmp_path)
    assert "nowhere" in message_for("status", "nowhere", cwd=tmp_path)
    assert "nowhere" in message_for("report", "nowhere", cwd=tmp_path)
    assert "nowhere" in message_for("plot", "nowhere", cwd=tmp_path)
    assert "name it by --figure" in message_for("plot", "run", "--out", "x.svg", cwd=tmp_path)
    assert "nowhere" in message_for("extend", "nowhere", "--seeds", "1", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rates.yaml"]


def test_a_run_directory_that_cannot_be_written_is_named(study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "file/run" in message_for("launch", study, "--run-dir", "file/run", cwd=tmp_path)


def test_a_data_set_that_is_missing_is_told_before_anything_starts(study: Path, tmp_path: Path) -> None:
    told = message_for("launch", study, "--set", "data={name: cifar10, root: void}", "--run-dir", "run", cwd=tmp_path)
    assert "cifar10" in told
    assert "void" in told
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_converted_and_one_that_could_run_code_is_not(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.ones(2)}, "epoch": 3}, tmp_path / "good.pth")
    torch.save({"model": {"weight": torch.ones(2)}, "path": tmp_path}, tmp_path / "bad.pth")
    code, out, _ = cktf("convert-teacher", "good.pth", "good.safetensors", cwd=tmp_path)
    assert code == 0
    assert "good.safetensors" in out
    assert load_file(tmp_path / "good.safetensors")["weight"].tolist() == [1, 1]
    told = message_for("convert-teacher", "bad.pth", "bad.safetensors", cwd=tmp_path)
    assert "bad.pth is not loaded, for it asks for pathlib" in told
    assert not (tmp_path / "bad.safetensors").exists()


def test_the_first_page_of_help_names_the_commands(tmp_path: Path) -> None:
    _, out, _ = cktf("--help", cwd=tmp_path)
    for command in ("validate", "launch", "resume", "extend", "status", "list", "show", "diff", "report", "compare"):
        assert command in out


CONTEXTS = """\
# Does the rate matter for each student?
baseline:
  data: {name: digits, train_fraction: 0.1}
  objective: {cross_entropy: {weight: 1.0}}
  epochs: 1
contexts:
  tiny: {student: {model: resnet5}}
  small: {student: {model: resnet8}}
compare:
  careful: {optimizer: {learning_rate: 0.01}}
  slow: {optimizer: {learning_rate: 0.001}}
skip: {small: [slow]}
seeds: 2
"""


def test_a_study_of_several_contexts_is_shown_and_one_of_its_trials_is_trained(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(CONTEXTS)
    code, out, err = cktf("validate", "study.yaml", cwd=tmp_path)
    assert code == 0
    assert (
        err.count("contexts share their seeds") == err.count("'seeds_by_context: true', before the first launch") == 1
    )
    own = cktf("validate", "study.yaml", "--set", "seeds_by_context=true", cwd=tmp_path)
    assert (own[0], own[2]) == (0, "")
    assert "student.model: resnet5" in out
    assert "3 arms x 2 contexts (5 in all) x 2 seeds = 10 trials" in out

    train = ("train", "study.yaml", "--arm", "slow")
    assert "context: must be one of tiny, small; got null" in message_for(*train, cwd=tmp_path)
    assert "context: must be one of tiny, small; got 'large'" in message_for(*train, "--context", "large", cwd=tmp_path)
    told = message_for(*train, "--context", "small", cwd=tmp_path)
    assert "arm: must be one of baseline, careful; got 'slow'" in told
    code, out, _ = cktf(*train, "--context", "tiny", cwd=tmp_path)
    assert code == 0
    assert "epoch   1/1" in out


def test_a_context_is_refused_by_a_study_without_any(study: Path, tmp_path: Path) -> None:
    told = message_for("train", study, "--context", "tiny", cwd=tmp_path)
    assert "context: this study has no contexts; got 'tiny'" in told


@pytest.mark.parametrize(
    ("file", "command"), [("analysis.py", "report"), ("analysis/__init__.py", "plot"), ("analysis.py", "validate")]
)
def test_another_module_called_analysis_is_named(tmp_path: Path, file: str, command: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise RuntimeError('it is not even run')\n")
    code, _, err = cktf_alone(command, "run", cwd=tmp_path, PYTHONPATH=str(Path(__file__).parents[2]))
    assert code == 2
    assert err.startswith(f"{path}: this module is called analysis and hides ")
    assert err.count("\n") == 1


def test_the_version_and_a_short_help_are_there(tmp_path: Path) -> None:
    code, out, _ = cktf_alone("--version", cwd=tmp_path)
    assert (code, out) == (0, f"cktf {version('cktf')}\n")
    for asked in (["-h"], ["validate", "-h"]):
        code, out, _ = cktf(*asked, cwd=tmp_path)
        assert code == 0
        assert "Usage:" in out


def test_what_fails_while_a_command_prints_is_a_fault_and_no_bare_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("while printing")

    monkeypatch.setattr("cktf.cli.studies._finish", broken)
    monkeypatch.setattr("cktf.driver.resume", lambda *_, **__: None)
    result = CliRunner().invoke(cli.app, ["resume", "run"])
    assert result.exit_code == cli.FAULT
    assert "This is a fault of cktf (ZeroDivisionError at " in result.stderr


@pytest.mark.parametrize("command", [["status"], ["resume"], ["report"], ["plot"], ["extend", "--seeds", "1"]])
@pytest.mark.parametrize("place", ["~nobody-of-this-name/run", "s3://", "a:b\x1b\udcff"])
def test_a_place_is_named_in_one_message_whatever_the_command(
    command: list[Any], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, [*command, place])
    assert result.exit_code == 2
    (message,) = result.stderr.splitlines()
    assert message.isprintable()
    assert message.startswith((place, f"{tmp_path}/a:b", "a:b"))


def test_what_is_said_of_a_fault_is_printed_as_it_is_where_the_terminal_has_no_such_letters(tmp_path: Path) -> None:
    (tmp_path / "é:b:.yaml").write_text("baseline: 1\n")
    code, _, err = cktf_alone("validate", "é:b:.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert code == 2
    assert err.startswith(r"\xe9:b:.yaml, line 1: baseline: ")
