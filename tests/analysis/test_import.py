"""The analysis stands alone: light to import, without torch and Ray."""

import subprocess
import sys
from pathlib import Path

from tests.analysis.ledgers import write_search

REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "ray", "typer", "sklearn"}:
            raise ModuleNotFoundError(f"refused: {name}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def run_python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout


def test_importing_is_quiet_and_loads_nothing_heavy() -> None:
    code = "import analysis, sys; print(HEAVY & set(sys.modules))"
    heavy = "{'pandas', 'scipy', 'statsmodels', 'optuna', 'altair'}"
    assert run_python(code.replace("HEAVY", heavy)) == "set()\n"


def test_a_report_is_written_where_torch_and_ray_are_not_installed_and_a_search_has_one_kind_of_importance(
    ablation: Path, tmp_path: Path
) -> None:
    write_search(tmp_path / "search").close_segment()
    code = (
        f"{REFUSE}\nimport analysis\nprint(analysis.write_report(sys.argv[1]).html)\n"
        "print(analysis.load(sys.argv[2]).importance.to_csv())"
    )
    html, _, importance = run_python(code, str(ablation), str(tmp_path / "search")).partition("\n")
    assert html == str(ablation / "report" / "report.html")
    assert "ped-anova,objective.cktf.temperature,0." in importance
    assert "fANOVA needs scikit-learn" in importance


COMMAND = f"""{REFUSE.replace('"typer", ', "")}
from cktf.cli import app
for arguments in map(str.splitlines, sys.argv[1:]):
    sys.argv[1:] = arguments
    try:
        app.main()
    except SystemExit as end:
        assert not end.code
"""


def test_the_command_reports_a_run_and_a_csv_file_without_torch_and_ray(ablation: Path, tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{score + seed % 2}\n" for arm, score in (("none", 90), ("kd", 92)) for seed in range(3)]
    (tmp_path / "results.csv").write_text("method,run,acc\n" + "".join(rows))
    columns = ("--arm", "method", "--seed", "run", "--metric", "acc", "--baseline", "none")
    out = tmp_path / "report"
    of_run = ("report", str(ablation))
    of_csv = ("report", str(tmp_path / "results.csv"), "--from", "csv", *columns, "--out", str(out))
    command = [sys.executable, "-W", "error", "-c", COMMAND]
    command += ["\n".join(of_run), "\n".join(of_csv)]  # one process for both, for its imports take longer
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
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
            *("credentials", "errors", "foreign_options", "ledger_lines", "looks", "names", "row_values", "rows"),
            *("storage", "verdicts"),
        )
    }
    assert {*run_python(code).split()} <= floor
