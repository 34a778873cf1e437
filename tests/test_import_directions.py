"""Data flow one way: rooms import only rooms below them, and no two modules import each other, however indirectly."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOOR = {
    f"cktf.{name}"
    for name in (
        "batch",
        "credentials",
        "epoch_result",
        "errors",
        "foreign_options",
        "ledger_lines",
        "locks",
        "looks",
        "mapped_arrays",
        "names",
        "plugins",
        "own_analysis",
        "pareto",
        "row_values",
        "rows",
        "scratch",
        "seeding",
        "settings",
        "storage",
        "verdicts",
    )
}
ROOMS = (
    FLOOR,
    {"cktf.measures"},
    {"cktf.objectives"},
    {"cktf.models"},
    {"cktf.data"},
    {"cktf.trainer"},
    {"cktf.trial", "cktf.templates"},
    {"cktf.study"},
    {"cktf.plan"},
    {"cktf.run"},
    {"cktf.cluster"},
    {"cktf.driver"},
    {"cktf"},
    {"cktf.cli"},
)
"""From the floor up."""

APART = {"cktf.measures", "cktf.objectives", "cktf.models", "cktf.data"}
"""Rooms that do not know each other."""

ANALYSIS = (
    {f"analysis.{name}" for name in ("arguments", "facts", "unmade", "wording", "record")},
    {"analysis.ledger"},
    {"analysis.statistics"},
    {"analysis.searches"},
    {"analysis.study_tables"},
    {"analysis.figures"},
    {"analysis.results"},
    {"analysis.exports", "analysis.foreign", "analysis.planning", "analysis.several_runs"},
    {"analysis.loading"},
    {"analysis.report"},
    {"analysis"},
)
ANALYSIS_MAY_IMPORT = {
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
        ),
        *("rows", "storage", "verdicts"),
    )
}
ONLY_IN = {
    "ray": {"cktf.cluster"},
    "optuna": {"cktf.plan", "analysis.searches", "analysis.foreign", "analysis.exports"},
    "torch": {
        "cktf.batch",
        "cktf.seeding",
        "cktf.measures",
        "cktf.objectives",
        "cktf.models",
        "cktf.data",
        "cktf.trainer",
        "cktf.trial",
        "cktf.templates",
        "cktf.cluster",
    },
    "torchvision": {"cktf.models", "cktf.data"},
    "timm": {"cktf.models"},
}


def modules() -> dict[str, Path]:
    """Return name to file of every module of the product."""
    files = sorted([*ROOT.glob("cktf/**/*.py"), *ROOT.glob("analysis/**/*.py")])
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in files}
    return {".".join(part for part in parts[path] if part != "__init__"): path for path in files}


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """Return what a module imports, within functions and for type checkers too; a module by its own name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else node.module)
    return found


MODULES = modules()
IMPORTS = {module: imports_of(path, MODULES) for module, path in MODULES.items()}


def room(module: str) -> str:
    """Return the first two parts of a module's name, which are those that the rules speak of."""
    return ".".join(module.split(".")[:2])


def arrows() -> set[tuple[str, str]]:
    """Return which module imports which other of the product."""
    return {(module, name) for module, names in IMPORTS.items() for name in names if name in MODULES}


def test_no_two_modules_import_each_other() -> None:
    graph = {module: {name for name in names if name in MODULES} - {module} for module, names in IMPORTS.items()}
    assert sum(map(len, graph.values())) > 500
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(("half", "order"), [("cktf", ROOMS), ("analysis", ANALYSIS)])
def test_a_room_imports_only_what_lies_below_it(half: str, order: tuple[set[str], ...]) -> None:
    height = {name: level for level, names in enumerate(order) for name in names}
    own = {room(module) for module in MODULES if module.split(".")[0] == half}
    assert own == {*height}, "every room has its place in the order"
    wrong = [
        f"{one} -> {other}"
        for one, other in arrows()
        if {room(one), room(other)} <= own and room(one) != room(other) and height[room(other)] > height[room(one)]
    ]
    assert not wrong


def test_measures_objectives_models_and_data_do_not_know_each_other() -> None:
    wrong = [(one, other) for one, other in arrows() if {room(one), room(other)} <= APART and room(one) != room(other)]
    assert not wrong


def test_the_analysis_stands_alone_and_only_the_command_line_uses_it() -> None:
    wrong = [
        (one, other)
        for one, other in arrows()
        if (one.startswith("analysis") and other.startswith("cktf") and room(other) not in ANALYSIS_MAY_IMPORT)
        or (
            one.startswith("cktf")
            and room(one) not in ("cktf", "cktf.cli", "cktf.cluster")
            and other.startswith("analysis")
        )
    ]
    assert not wrong


def test_statistics_take_frames_and_arrays_and_never_results() -> None:
    for module in MODULES:
        if room(module) == "analysis.statistics":
            assert not {"analysis.results", "analysis.study_tables"} & IMPORTS[module], module


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_heavy_library_stays_in_its_rooms(library: str) -> None:
    wrong = [
        (module, name)
        for module, names in IMPORTS.items()
        for name in names
        if name.split(".")[0] == library and room(module) not in ONLY_IN[library]
    ]
    assert not wrong


def test_the_help_loads_neither_ray_nor_torch_nor_optuna() -> None:
    code = (
        "import sys\n"
        "from cktf.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('ray', 'torch', 'optuna', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
