"""docs/explanation/undocumented.md names every private part of Ray, PyTorch and Optuna, and the locked versions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "explanation" / "undocumented.md").read_text()


def private_names() -> Iterator[tuple[Path, str]]:
    """Yield file and name of what is private and of another's: ``torch._foreach_copy_``, ``x._version``."""
    files = [file for package in ("cktf", "analysis") for file in sorted((ROOT / package).rglob("*.py"))]
    nodes = [(file.relative_to(ROOT), node) for file in files for node in ast.walk(ast.parse(file.read_text()))]
    own = {"_asdict", "_replace", "_exit", "_fields"}
    for _, node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
    for file, node in nodes:
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr) and node.attr not in own:
            yield file, node.attr
        elif isinstance(node, ast.ImportFrom) and re.match(r"(ray|torch|optuna)\..*\b_", node.module or ""):
            yield file, re.findall(r"\b_\w+", node.module or "")[0]
        elif isinstance(node, ast.keyword) and node.arg and re.match("_[a-z]", node.arg):
            yield file, node.arg


def test_every_private_part_stands_in_the_table_with_its_file() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for file, name in private_names():
        assert any(name in row and str(file) in row for row in rows), (file, name)


def test_every_row_names_what_its_files_have() -> None:
    for row in PAGE.splitlines():
        if row.startswith("| "):
            for file in re.findall(r"`((?:cktf|analysis)/[\w/]+\.py)`", row):
                last = re.findall(r"(\w+)`", row.split("|")[1])
                assert any(name in (ROOT / file).read_text() for name in last), (file, last)


def test_the_versions_are_those_of_the_lock() -> None:
    locked = dict(re.findall(r"^(\w+)(?:\[\w+\])?==([\w.]+)$", (ROOT / "requirements.lock").read_text(), re.M))
    checked = re.search(r"Checked on: (.*)\.\n", PAGE)
    assert checked
    named = dict(entry.split() for entry in checked[1].split(", "))
    assert named == {name: locked[name] for name in named} != {}
