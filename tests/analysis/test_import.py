"""The analysis stands alone: light to import, without torch, Ray and pydantic."""

import subprocess
import sys
from pathlib import Path

REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "ray", "pydantic", "typer", "sklearn"}:
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


def test_a_report_is_written_where_torch_and_ray_are_not_installed(ablation: Path) -> None:
    code = f"{REFUSE}\nimport analysis\nprint(analysis.write_report(sys.argv[1]).html)"
    assert run_python(code, str(ablation)).strip() == str(ablation / "report" / "report.html")


def test_without_scikit_learn_a_search_has_one_kind_of_importance(search: Path) -> None:
    code = f"{REFUSE}\nimport analysis\nprint(analysis.load(sys.argv[1]).importance.to_csv())"
    printed = run_python(code, str(search))
    assert "ped-anova,objective.cktf.temperature,0." in printed
    assert "fANOVA needs scikit-learn" in printed


def test_nothing_of_the_training_half_but_the_rows_is_imported() -> None:
    code = "import analysis.figures, analysis.methods, sys; print([m for m in sys.modules if 'cktf.' in m])"
    assert run_python(code) == "['cktf.rows']\n"
