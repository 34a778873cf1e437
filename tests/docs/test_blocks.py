"""Every code block of README and docs is run here, or says what it needs: studies, commands, Python."""

import ast
import importlib
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from analysis import collect
from cktf.cli.app import app
from cktf.study.designs import plan_arms
from cktf.study.load import load_study, read_study
from cktf.study.spec import DESIGNS, StudySpec
from cktf.trainer.config import TrialConfig
from tests.cli.commands import cktf
from tests.docs.blocks import FENCE, LANGUAGES, PAGES, ROOT, Block, blocks

SMALL = {
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20", "epochs": 2},
    "student": {"model": "resnet8"},
    "objective": {"cross_entropy": {}, "kd": {}},
}
"""What a part of a study is a part of."""

QUICK = ("examples", "init", "validate", "explain", "status", "diff", "compare", "report", "plot")
"""Commands that answer in seconds; a block with another one says what it needs, and is only parsed."""

pytestmark = pytest.mark.usefixtures("plain_registries")

STANDS_FOR = {
    **{
        "RUN": "runs/quickstart",
        "runs/digits_ablation": "runs/quickstart",
        "STUDY": "study.yaml",
        "OTHER": "other.yaml",
    },
    **{"RUN1": "runs/ablation", "RUN2": "runs/more", "DIR": "report", "kd": "theta=0", "cktf+kd": "pairing=first"},
}
"""What the words of a command stand for here."""


PAIRS = [(seed, 70 + seed, 80 + 1.5 * seed) for seed in range(1, 9)]
RESULTS = {
    "results.csv": ("method,run,acc", [f"none,{s},{a}\nkd,{s},{b}" for s, a, b in PAIRS]),
    "results_eu.csv": ("method;run;acc", [f"none;{s};{a},5\nkd;{s};{b}".replace(".", ",") for s, a, b in PAIRS]),
    "scores.csv": ("arm,seed,acc", [f"baseline,{s},{a}\nkd,{s},{b}" for s, a, b in PAIRS]),
    "theirs.csv": ("arm,seed,acc", [f"baseline,{s},{a}\nkd,{s},{b}" for s, a, b in PAIRS]),
    "folds.csv": ("arm,seed,fold,acc", [f"baseline,{s},{s % 4},{a}\nkd,{s},{s % 4},{b}" for s, a, b in PAIRS]),
    "log.csv": (
        "arm,seed,epoch,acc",
        [f"baseline,{s},1,9\nkd,{s},1,9\nbaseline,{s},2,{a}\nkd,{s},2,{b}" for s, a, b in PAIRS],
    ),
}
"""The files of the pages' commands: columns, and rows."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader may have it: two studies, a run of one, two runs of another, and files of any program."""
    folder = tmp_path_factory.mktemp("desk")
    for name, stored in (("quickstart", "digits_smoke"), ("ablation", "ablation"), ("more", "ablation_more_seeds")):
        shutil.copytree(ROOT / "tests/analysis/stored_runs" / stored, folder / "runs" / name)
    collect(folder / "runs" / "quickstart", folder / "runs" / "quickstart" / "report")
    for name, (columns, rows) in RESULTS.items():
        (folder / name).write_text("\n".join([columns, *rows]))
    study = (ROOT / "search_spaces" / "digits_ablation.yaml").read_text()
    (folder / "study.yaml").write_text(study)
    (folder / "other.yaml").write_text(study.replace("epochs: 16", "epochs: 20"))
    return folder


def test_every_block_says_what_it_is() -> None:
    for page in PAGES:
        text = page.read_text()
        assert text.count("\n```") + text.startswith("```") == 2 * len(FENCE.findall(text)), page
        assert {language for _, language, _ in FENCE.findall(text)} <= {*LANGUAGES}, page


def whole_study(part: dict[str, Any]) -> dict[str, Any]:
    """Return a study that has this part: itself, one with these keys, or one with this trial's settings."""
    study = {key: value for key, value in part.items() if key in StudySpec.model_fields}
    trial = {key: value for key, value in part.items() if key not in study}
    assert trial.keys() <= TrialConfig.model_fields.keys()
    of_part = study.get("baseline", {}) | trial
    small = {key: value for key, value in SMALL.items() if not ("teachers" in of_part and key == "teacher")}
    study["baseline"] = small | of_part
    if not study.keys() & {*DESIGNS}:
        study["compare"] = {"without": {"objective": {"kd": {"weight": 0}}}}
    return study


def test_every_study_and_every_part_of_one_is_valid(tmp_path: Path) -> None:
    found = [block for block in blocks("yaml") if not block.needs]
    assert len(found) > 15
    for block in found:
        for plugin in yaml.safe_load(block.text).get("plugins", []):
            assert cktf("new", plugin.removesuffix(".py"), plugin, cwd=tmp_path)[0] == 0
        text = yaml.safe_dump(whole_study(yaml.safe_load(block.text)), sort_keys=False)
        (tmp_path / "study.yaml").write_text(text)
        with chdir(tmp_path):
            assert plan_arms(load_study("study.yaml")), block


def test_arms_are_named_as_they_are_written() -> None:
    (block,) = blocks("yaml", "docs/how-to/objectives.md")
    assert [arm.name for arm in plan_arms(read_study(block.text, "objectives.md"))] == [
        *("baseline", "kd.weight=1", "kd.weight.to=2", "temperature={learn: true, start: 0.1, min: 0.02, max: 1}"),
        *("temperature={from: 0.5, to: 0.1, over: [0, 1]}", "hardness=0.5", "teacher_threshold=0.9"),
        "positives=class",
    ]


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each ``cktf`` command, without the comment beside it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)  # as a shell reads it
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words[:1] == ["cktf"]:
            yield [STANDS_FOR.get(word, word) for word in words[1:]]
        elif words:
            assert block.needs, f"{block.page}: {line}: is no command of ours, so its block is to say what it needs"
            assert words[0] in ("pip", "sbatch"), f"{line}: what is this?"


def test_every_command_is_one_with_these_options_and_runs_where_its_block_needs_nothing(desk: Path) -> None:
    group = typer.main.get_group(app)
    parsed, run = 0, set()
    for block in blocks(""):
        for name, *arguments in commands(block):
            context = group.make_context("cktf", [], resilient_parsing=True)
            command = group.get_command(context, name)
            assert command, (block.page, name)
            command.make_context(name, list(filter(None, arguments)))  # raises where an option is unknown
            parsed += 1
            key = (name, *arguments)
            assert block.needs or name in QUICK, f"{block.page}: no test runs cktf {name}: say what its block needs"
            if not block.needs and key not in run:
                run.add(key)
                code, _, error = cktf(*filter(None, key), cwd=desk)
                assert code == 0, (block.page, key, error)
    assert parsed > 30
    assert {name for name, *_ in run} == {*QUICK}
    for file in ("forest.pdf", "report/report.html", "runs/quickstart/report/report.html"):
        assert (desk / file).stat().st_size > 1000, file


def test_commands_within_sentences_exist() -> None:
    group = typer.main.get_group(app)
    known = set(group.list_commands(group.make_context("cktf", [], resilient_parsing=True)))
    for page in PAGES:
        named = set(re.findall(r"`cktf ([a-z][a-z-]+)", page.read_text()))
        assert named <= known, (page, named - known)


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}))
def test_python_runs_in_order(page: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    names: dict[str, Any] = {}
    for block in blocks("python", page):
        code = compile(block.text, page, "exec")
        if block.needs:
            require_names(ast.parse(block.text))
        else:
            exec(code, names)  # noqa: S102  # our own pages


def require_names(tree: ast.Module) -> None:
    """Assert that what is named of our two packages is there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := ast.unparse(node.value)) in ("cktf", "analysis"):
            assert hasattr(importlib.import_module(module), node.attr), node.attr
