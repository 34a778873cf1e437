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

from cktf.cli.app import app
from cktf.study.designs import plan_arms
from cktf.study.load import load_study, read_study
from cktf.study.spec import DESIGNS, StudySpec
from cktf.trainer.config import TrialConfig
from tests.cli.commands import cktf
from tests.docs.blocks import FENCE, LANGUAGES, PAGES, ROOT, blocks

SMALL = {
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20", "epochs": 2},
    "student": {"model": "resnet8"},
    "objective": {"cross_entropy": {}, "kd": {}},
}
"""What a part of a study is a part of."""

CHEAP = ("examples", "init", "validate", "new", "explain", "schema", "list", "status", "show", "diff")
"""Commands that answer at once; the others are only parsed."""

pytestmark = pytest.mark.usefixtures("plain_registries")

STANDS_FOR = {
    **{"RUN": "runs/quickstart", "RUN1": "runs/quickstart", "STUDY": "study.yaml", "OTHER": "other.yaml", "N": "1"},
    **{"KEY": "epochs", "NAME": "theta=0", "DIR": "runs", "ID": "", "runs/digits_ablation": "runs/quickstart"},
    **{"FIGURE": "effects", "kd": "theta=0", "cktf+kd": "pairing=first", "digits_search.yaml": "digits_search.yaml"},
}
"""What the words of a command stand for here."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader may have it: two studies, and the run of one."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "tests/analysis/stored_runs/digits_smoke", folder / "runs" / "quickstart")
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


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each ``cktf`` command, without what is said beside it."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.split(r"\s{2,}|\s#", line.strip())[0])
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words[:1] == ["cktf"]:
            yield [STANDS_FOR.get(word, word) for word in words[1:]]
        elif words:
            assert words[0] in ("pip", "sbatch", "make"), f"{line}: what is this?"


def test_every_command_is_one_with_these_options_and_the_cheap_ones_run(desk: Path) -> None:
    group = typer.main.get_group(app)
    parsed, run = 0, set()
    for block in blocks(""):
        for name, *arguments in commands(block.text):
            context = group.make_context("cktf", [], resilient_parsing=True)
            command = group.get_command(context, name)
            assert command, (block.page, name)
            command.make_context(name, list(filter(None, arguments)))  # raises where an option is unknown
            parsed += 1
            key = (name, *arguments)
            if name in CHEAP and not block.needs and key not in run:
                run.add(key)
                if name in ("init", "new"):
                    (desk / (arguments[1] if len(arguments) > 1 else f"{arguments[0]}.yaml")).unlink(missing_ok=True)
                code, _, error = cktf(*filter(None, key), cwd=desk)
                assert code == 0, (block.page, key, error)
    assert parsed > 30
    assert {name for name, *_ in run} >= {"examples", "init", "validate", "explain", "status", "diff"}


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
