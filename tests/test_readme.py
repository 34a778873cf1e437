"""What README.md shows is true: its studies load, its files are there."""

import re
from pathlib import Path

import yaml

from cktf.study.designs import plan_arms
from cktf.study.load import load_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_study_of_the_readme_is_the_one_that_quickstart_runs() -> None:
    path = ROOT / "search_spaces" / "digits_ablation.yaml"
    assert path.read_text() == BLOCKS[0]
    assert path.name in (ROOT / "Makefile").read_text()
    spec = load_study(path)
    assert spec.question.endswith("?")
    assert len(plan_arms(spec)) > 4


def test_the_search_of_the_page_on_studies_loads_on_the_same_baseline(tmp_path: Path) -> None:
    study = yaml.safe_load(BLOCKS[0])
    path = tmp_path / "readme_search.yaml"
    path.write_text(yaml.safe_dump({"baseline": study["baseline"], **yaml.safe_load(BLOCKS[1])}))
    assert load_study(path).confirm.top == 3


def test_every_file_of_the_code_tour_is_there() -> None:
    named = re.findall(r"`((?:cktf|analysis)/[\w/]+\.py)`", README)
    assert len(named) > 5
    assert all((ROOT / name).is_file() for name in named)


def test_every_make_target_of_the_readme_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)`?$|`make (\w+)`", README, flags=re.MULTILINE)):
        (name,) = filter(None, target)
        assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE), name


def test_every_link_of_the_readme_and_of_the_docs_leads_to_a_file() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), (page.name, link)
