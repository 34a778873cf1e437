"""Imports go one way: cli -> search -> study -> trainer -> {objectives, models, data} -> the shared floor."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOOR = {
    "cktf",
    *(
        f"cktf.{name}"
        for name in (
            "batch",
            "credentials",
            "errors",
            "exclusive",
            "foreign_options",
            "names",
            "row_values",
            "rows",
            "seeding",
            "settings",
            "storage",
        )
    ),
}
MAY_IMPORT = {
    "cktf.objectives": FLOOR,
    "cktf.models": FLOOR,
    "cktf.data": FLOOR,
    "cktf.trainer": FLOOR | {"cktf.objectives", "cktf.models", "cktf.data"},
    "cktf.study": FLOOR | {"cktf.trainer", "cktf.objectives", "cktf.models", "cktf.data"},
    "cktf.search": FLOOR | {"cktf.study", "cktf.trainer", "cktf.objectives", "cktf.models", "cktf.data"},
    "analysis": {
        "cktf.credentials",
        "cktf.errors",
        "cktf.cli.foreign",
        "cktf.names",
        "cktf.row_values",
        "cktf.rows",
        "cktf.storage",
    },
}
ONLY_IN = {
    "ray": {"cktf.search"},
    "optuna": {"cktf.search", "analysis"},
    "torch": {
        "cktf.batch",
        "cktf.seeding",
        "cktf.objectives",
        "cktf.models",
        "cktf.data",
        "cktf.trainer",
        "cktf.search",
    },
    "torchvision": {"cktf.models", "cktf.data"},
}


def room(module):
    """The part of a module's name that a rule speaks of: cktf.<room>, or analysis."""
    parts = module.split(".")
    return parts[0] if parts[0] == "analysis" else ".".join(parts[:2])


def imports():
    for path in sorted([*ROOT.glob("cktf/**/*.py"), *ROOT.glob("analysis/**/*.py")]):
        relative = path.relative_to(ROOT).with_suffix("")
        module = ".".join(part for part in relative.parts if part != "__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [node.module]
            for name in names:
                yield module, name


IMPORTS = list(imports())


def test_there_are_imports_to_check():
    assert len(IMPORTS) > 100


@pytest.mark.parametrize("source", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(source):
    wrong = [
        (module, name)
        for module, name in IMPORTS
        if room(module) == source
        and name.split(".")[0] in ("cktf", "analysis")
        and room(name) not in MAY_IMPORT[source] | {source}
    ]
    assert not wrong


def test_the_floor_imports_nothing_above_it():
    wrong = [
        (module, name)
        for module, name in IMPORTS
        if module in FLOOR and name.split(".")[0] in ("cktf", "analysis") and room(name) not in FLOOR
    ]
    assert not wrong


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_heavy_library_stays_in_its_rooms(library):
    wrong = [
        (module, name)
        for module, name in IMPORTS
        if name.split(".")[0] == library and room(module) not in ONLY_IN[library]
    ]
    assert not wrong


def test_the_help_loads_neither_ray_nor_torch_nor_optuna():
    code = (
        "import sys\n"
        "from cktf.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('ray', 'torch', 'optuna', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
