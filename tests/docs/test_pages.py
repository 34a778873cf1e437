"""The documentation's pages: links, the site's contents, and what is made of the code."""

import re
from typing import Any

import jsonschema
import yaml

import analysis
import cktf
from cktf.study.reference import json_schema, keys
from scripts import docs_pages
from tests.docs.blocks import PAGES, ROOT

SITE = ROOT / "mkdocs.yml"


def test_every_link_leads_to_a_file() -> None:
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"):
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text()):
            target = "".join(link)
            place = (page.parent / target).resolve()
            is_made = place in {docs_pages.DOCS / name for name in docs_pages.PAGES}
            assert target.startswith("https://") or is_made or place.exists(), (page.name, target)


def pages_of(entry: Any) -> list[str]:
    """Return the pages of a part of the site's contents."""
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages_of(part)]


def test_the_site_has_every_page_once() -> None:
    contents = re.search(r"^nav:\n.*", SITE.read_text(), re.MULTILINE | re.DOTALL)
    assert contents
    listed = pages_of(yaml.safe_load(contents[0])["nav"])
    written = {str(page.relative_to(docs_pages.DOCS)) for page in PAGES if page.is_relative_to(docs_pages.DOCS)}
    assert sorted(listed) == sorted(written | docs_pages.PAGES.keys())


def test_the_reference_has_every_key_with_an_example_that_is_allowed() -> None:
    page, examples = docs_pages.study_page(), docs_pages.examples()
    sections = {key.path.rpartition(".")[0] for key in keys()}
    study: dict[str, Any] = {}
    for key in keys():
        above, _, name = key.path.rpartition(".")
        if name in {**docs_pages.SCHEDULE, **docs_pages.LEARNED}:
            continue
        assert f"| `{name}` |" in page.partition(f"{{#{docs_pages.anchor(above) or 'file'}}}")[2], key.path
        if key.path not in sections:
            place = study
            for part in above.split(".") if above else ():
                place = place.setdefault(part, {})
            place[name] = examples[key.path]
    numbers = {"kd": {"weight": docs_pages.SCHEDULE, "temperature": docs_pages.LEARNED}}
    study["baseline"]["objective"] |= numbers
    wrong = jsonschema.Draft202012Validator(json_schema()).iter_errors(study)
    assert [(error.json_path, error.message[:200]) for error in wrong] == []


def test_the_reference_has_every_command_with_its_options() -> None:
    page = docs_pages.commands_page()
    usage = "Usage: `cktf init [OPTIONS] NAME [FILE]`"
    for text in ("## cktf launch", "--run-dir", "## cktf report", "--minimise", usage):
        assert text in page


def test_the_reference_of_python_has_every_name_that_both_packages_export() -> None:
    page = (docs_pages.DOCS / "reference" / "python.md").read_text()
    exported = {".".join(home) for home in cktf._HOMES.values()}
    exported |= {f"analysis.{module}.{name}" for name, module in analysis._MODULES.items()}
    assert exported - set(re.findall(r"^::: (\S+)$", page, re.MULTILINE)) == set()


def test_pages_are_made_for_the_site() -> None:
    assert "](tutorials/first-study.md)" in docs_pages.home_page()
    tables = docs_pages.tables_page()
    assert "| `effect` | metric | Mean difference" in tables
    assert tables.count("\n## ") == len(yaml.safe_load(docs_pages.COLUMNS.read_text()))
