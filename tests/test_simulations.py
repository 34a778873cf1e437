"""The page of simulations is of the code that stands beside it."""

import ast
import re

import pytest

from benchmarks.simulations import JUDGED, PAGE, ROOT, STUDIES, code, digest, page, printed, tables


def test_the_numbers_of_the_page_are_of_this_code() -> None:
    named = dict(re.findall(r"^\| (\S+\.py) \| ([0-9a-f]{40}) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    changed = [file for file in JUDGED if named.get(file) != digest(ROOT / file)]
    assert not changed, (
        f"{', '.join(changed)}: changed since docs/explanation/simulations.md was written; run "
        "'python benchmarks/simulations.py', which takes some minutes, and look"
        " whether docs/explanation/statistics.md still says what its tables show"
    )


def test_the_page_has_every_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for module in STUDIES:
        for title in tables(module):
            assert f"\n## {title}\n\n| " in text


def test_a_hash_is_of_what_is_computed_and_not_of_what_is_said_about_it() -> None:
    source = '"""Areas."""\n\nimport math\n\n\ndef area(r):\n    """An area."""\n    return math.pi * r**2  # πr²\n'
    said_otherwise = source.replace("An area", "A surface").replace("# πr²", "").replace("import math", "import cmath")
    computed = code(ast.parse(source))
    assert code(ast.parse(said_otherwise)) == computed
    assert code(ast.parse(source.replace("area(r)", "area(\n    r,\n)"))) == computed
    assert code(ast.parse(source.replace("r**2", "r**3"))) != computed


@pytest.mark.parametrize("module", ["null_factorial"])
def test_a_table_is_markdown_and_the_page_names_the_files(module: str) -> None:
    title, *_ = tables(module)
    text, seconds = printed(module, title, 3, 0)
    assert seconds > 0
    head, rule, *rows = text.splitlines()
    assert len(rows) == 27
    assert {line.count("|") for line in (head, rule, *rows)} == {10}
    written = page({title: text}, {module: 3}, 0, 1.0)
    assert all(f"| {file} | {digest(ROOT / file)} |" in written for file in JUDGED)
