"""The analysis stands alone: light to import, without torch and Ray."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.ledgers import write_search

TRAINING = {"cmaes", "optuna", "PIL", "ray", "safetensors", "sklearn", "sqlalchemy", "torch", "torchvision", "typer"}
"""What comes with the training half; and Typer, which the analysis alone does without."""

REFUSE = (
    f"TRAINING = {TRAINING}"
    + """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in TRAINING:
            raise ModuleNotFoundError(f"refused: {name}", name=name)

sys.meta_path.insert(0, Refuse())
"""
)


def run_python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout


def test_importing_is_quiet_and_loads_nothing_heavy() -> None:
    code = "import analysis, sys; print(HEAVY & set(sys.modules))"
    heavy = "{'pandas', 'scipy', 'statsmodels', 'optuna', 'altair'}"
    assert run_python(code.replace("HEAVY", heavy)) == "set()\n"


def test_a_report_is_written_where_the_training_half_is_not_installed_and_a_search_has_no_importance(
    ablation: Path, tmp_path: Path
) -> None:
    write_search(tmp_path / "search").close_segment()
    code = (
        f"{REFUSE}\nimport analysis\nprint(analysis.write_report(sys.argv[1]).html)\n"
        "print(analysis.load(sys.argv[2]).importance.to_csv())"
    )
    html, _, importance = run_python(code, str(ablation), str(tmp_path / "search")).partition("\n")
    assert html == str(ablation / "report" / "report.html")
    assert "PED-ANOVA needs Optuna" in importance
    assert "fANOVA needs scikit-learn" in importance


COMMAND = f"""{REFUSE}
TRAINING.remove("typer")
from cktf.cli import app
for arguments in map(str.splitlines, sys.argv[1:]):
    sys.argv[1:] = arguments
    try:
        app.main()
    except SystemExit as end:
        print("exit", end.code)
"""


@pytest.mark.slow
def test_commands_that_read_results_need_no_training_half_and_others_say_how_it_is_installed(
    ablation: Path, tmp_path: Path
) -> None:
    rows = [f"{arm},{seed},{score + seed % 2}\n" for arm, score in (("none", 90), ("kd", 92)) for seed in range(3)]
    (tmp_path / "results.csv").write_text("method,run,acc\n" + "".join(rows))
    columns = ("--arm", "method", "--seed", "run", "--metric", "acc", "--baseline", "none")
    out = tmp_path / "report"
    of_run = ("report", str(ablation))
    of_csv = ("report", str(tmp_path / "results.csv"), "--from", "csv", *columns, "--out", str(out))
    study = str(tmp_path / "digits_ablation.yaml")
    others = [("compare", str(tmp_path / "results.csv"), *columns), ("init", "digits_ablation", study), ("examples",)]
    others += [("list", str(tmp_path)), ("status", str(ablation)), ("plot", str(out)), ("--help",)]
    refused = [("launch", study), ("validate", study), ("compare", "a.log", "--from", "optuna")]
    (tmp_path / "a.log").write_text("")
    command = [sys.executable, "-W", "error", "-c", COMMAND]
    command += map("\n".join, (of_run, of_csv, *others, *refused))  # one process for all, for its imports take longer
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=paths)
    assert done.stdout.count("exit 0") == 9, done.stderr
    assert done.stdout.count("exit 2") == 3
    assert done.stderr.splitlines()[-3:] == [
        "cktf launch needs the training half: pip install 'cktf[train]'",
        "cktf validate needs the training half: pip install 'cktf[train]'",
        "a.log: these results need optuna: pip install 'cktf[train]'",
    ]
    assert Path(study).is_file()
    assert "temperature=0.5" in done.stdout
    assert (ablation / "report" / "report.html").is_file()
    assert "92.3333" in done.stdout
    assert (out / "report.html").is_file()


def test_of_the_training_half_the_floor_alone_is_imported() -> None:
    code = (
        "import analysis.figures, analysis.report.methods, sys\n"
        "print(*sorted(name for name in sys.modules if name.startswith('cktf.')))"
    )
    floor = {
        f"cktf.{name}"
        for name in (
            *(
                "credentials",
                "epoch_result",
                "errors",
                "foreign_options",
                "ledger_lines",
                "looks",
                "names",
                "pareto",
                "row_values",
                "rows",
            ),
            *("row_values", "storage", "verdicts"),
        )
    }
    assert {*run_python(code).split()} <= floor
