"""What README.md shows is true: its study is the shipped one, its files are there. See also tests/docs."""

import re
from pathlib import Path

from cktf.study.designs import plan_arms
from cktf.study.load import load_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_study_of_the_readme_is_the_one_that_quickstart_runs() -> None:
    path = ROOT / "search_spaces" / "digits_ablation.yaml"
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    assert path.read_text() == block
    assert path.name in (ROOT / "Makefile").read_text()
    spec = load_study(path)
    assert spec.question.endswith("?")
    assert len(plan_arms(spec)) > 4


def test_the_tutorial_reads_the_numbers_of_the_readme() -> None:
    page = (ROOT / "docs" / "tutorials" / "read-the-report.md").read_text()
    (effect,) = re.findall(r"\| kd.weight=0 \| 12 \| .*? \| −(\S+) \[−(\S+), −(\S+)\] \| (\S+) \|", README)
    most, least, p = effect[1:]
    assert f"| −{effect[0]} [−{most}, −{least}], hurts |" in page
    assert f"costs {effect[0]} points (95% interval {least} to {most}, 12 seeds, p = {p} after" in page
    (detectable,) = re.findall(r"\| cktf.weight=0 \| .*detectable: ±(\S+) \|", README)
    assert f"detectable: ±{detectable} |" in page
    assert f"effects beyond ±{detectable} points" in page


def test_every_file_of_the_code_tour_is_there() -> None:
    named = re.findall(r"`((?:cktf|analysis)/[\w/]+\.py)`", README)
    assert len(named) > 5
    assert all((ROOT / name).is_file() for name in named)


def test_every_make_target_of_the_readme_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)`?$|`make (\w+)`", README, flags=re.MULTILINE)):
        (name,) = filter(None, target)
        assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE), name
