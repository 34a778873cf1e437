"""Shipped studies, damaged as trees, as texts and as bytes; and values given by ``--set``."""

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cktf.study import in_words, yaml_text
from cktf.study.designs import every_arm, plan_arms, smoke_study
from cktf.study.load import dump_study, load_study, read_study
from cktf.study.paths import known_paths
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from tests.fuzz.driver import Case
from tests.fuzz.mutations import (
    HALF_A_PAIR,
    ODD_NUMBERS,
    ODD_TEXTS,
    changed,
    changed_bytes,
    changed_text,
    odd_value,
)

SHIPPED = Path(__file__).parents[2] / "search_spaces"

SLOW = ("table", "cifar100")
"""What the names of studies have that take a second to check; they are drawn less often."""

BOMB = "\n".join(["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9))])
PIECES = (
    *(
        "!!bool foo",
        "!!timestamp foo",
        "!!float x",
        "!!int x",
        "!!int ''",
        "!!set {a, b}",
        "!!binary é",
        "!!null x",
    ),
    *(
        "!!python/object:os.system x",
        "!mine x",
        "!!omap [a: 1]",
        "!!pairs [a]",
        "!<x> y",
        "!!str 1",
        "!!seq x",
        "!!map 1",
    ),
    *(
        "&a ",
        "*a",
        "<<: {1: 2}",
        "<<: *x",
        "<<: [1]",
        "<<: x",
        "? x",
        "? [a]: 1",
        "---",
        "...",
        "%YAML 9.9",
        "|",
        ">",
    ),
    *(
        "9" * 5000,
        "-" + "9" * 5000,
        "0x" + "f" * 5000,
        "1e400",
        "[" * 2000,
        "{a: " * 2000,
        "\\ud800",
        '"\\ud800"',
    ),
    *(
        '"\\ud83d\\udca5"',
        "\u200b",
        "\xa0",
        "\x00",
        "\ufeff",
        "\x85",
        "\u2028",
        "__class__: 1",
        BOMB,
        f"{{{'a' * 30_000}: 1}}",
    ),
)


@cache
def _shipped() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(SHIPPED.glob("*.yaml"))}


def shipped(draws: Random) -> tuple[str, str]:
    """Return name and text of one of the shipped studies."""
    names = list(_shipped())
    weights = [0.15 if any(part in name for part in SLOW) else 1.0 for name in names]
    name = draws.choices(names, weights)[0]
    return name, _shipped()[name]


def studies(draws: Random, folder: Path) -> Case:
    """Return a study file in which one to three things were changed."""
    name, text = shipped(draws)
    way = draws.choice(("tree", "tree", "text", "text", "bytes", "encoding"))
    file = folder / "study.yaml"
    words: list[str] = [name]
    content = b""
    if way == "tree":
        tree = yaml_text.parse(text).value
        for _ in range(draws.choice((1, 1, 1, 2, 3))):
            tree, what = changed(tree, draws)
            words.append(what)
        content = _written(tree, draws)
    else:
        for _ in range(draws.choice((1, 1, 1, 2, 3)) if way == "text" else 0):
            text, what = changed_text(text, draws, PIECES)
            words.append(what)
        content = text.encode(errors="surrogatepass")
    if way == "bytes":
        content, what = changed_bytes(content, draws)
        words.append(what)
    if way == "encoding":
        encoding = draws.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "cp500"))
        content = (text + "# é\n").encode(encoding)
        words.append(encoding)
    file.write_bytes(content)
    return Case(", ".join(words), lambda: use(file), (file.name,))


def overrides(draws: Random, folder: Path) -> Case:
    """Return a shipped study with one or two options ``--set``, few of them meant so."""
    name, text = shipped(draws)
    file = folder / "study.yaml"
    file.write_text(text)
    given = [_override(draws, yaml_text.parse(text).value) for _ in range(draws.choice((1, 1, 2)))]
    words = f"{name}, " + ", ".join(f"--set {each[:100]!a}" for each in given)
    # What an arm of the file does not go with is told there, with the path of the setting or of its section.
    paths = [each.partition("=")[0].removeprefix("baseline.") for each in given]
    sections = [".".join(path.split(".")[:2]) for path in paths if "." in path]
    return Case(words, lambda: use(file, given), ("--set", *filter(None, paths), *sections))


def use(file: Path, given: list[str] | None = None) -> None:
    """Do with a study all that is done before anything runs, and read back what is written of it."""
    spec = load_study(file, given or ())
    again = read_study(dump_study(spec), "again.yaml")
    assert again.model_dump(exclude={"name"}) == spec.model_dump(exclude={"name"})
    for each in (spec, smoke_study(spec)):
        arms = plan_arms(each)
        assert len(every_arm(each)) >= len(arms) >= 1
        in_words.plan_in_words(each, arms)
        in_words.comparisons_of(each, arms)
        list(in_words.tables_of(each, arms))
        list(in_words.confounded_in_words(each))
        list(in_words.alike_in_words(each, arms))


def _written(tree: Any, draws: Random) -> bytes:
    if draws.random() < 0.3:
        return json.dumps(tree, ensure_ascii=draws.random() < 0.5).encode(errors="surrogatepass")
    return yaml_text.dump(tree).encode(errors="surrogatepass")


def _override(draws: Random, study: dict[str, Any]) -> str:
    leaves = [(".".join(map(str, way)), leaf) for way, leaf in _leaves(study)]
    if draws.random() < 0.2:  # as the file has it, so that some are valid whatever plug-ins add to the paths
        path, value = draws.choice([(path, leaf) for path, leaf in leaves if path.startswith("baseline.")])
        return f"{path}={json.dumps(value, ensure_ascii=False)}"
    paths = [*known_paths(TrialConfig), *StudySpec.model_fields, *(path for path, _ in leaves)]
    path = draws.choice(paths)
    match draws.randrange(10):
        case 0:
            path = changed_text(path, draws)[0]
        case 1:
            path = draws.choice((f"{path}.{draws.choice(paths)}", draws.choice(ODD_TEXTS), path.upper(), f" {path} "))
    match draws.randrange(5):
        case 0:
            value = draws.choice(PIECES)
        case 1:
            value = str(draws.choice((*ODD_NUMBERS, *ODD_TEXTS, HALF_A_PAIR)))
        case 2:
            value = json.dumps(odd_value(draws), ensure_ascii=False)
        case 3:
            value = changed_text(draws.choice([str(leaf) for _, leaf in leaves]), draws, PIECES)[0]
        case _:
            value = draws.choice(("3", "0.5", "true", "null", "resnet8", "{weight: 1.0}", "[1, 2]", "{}"))
    return draws.choice(("=", "=", "=", "=", "=", "=", "=", "", " = ", "=="))[:9].join((path, value))


def _leaves(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if below is None:
        return [(above, tree)]
    return [leaf for key, value in below for leaf in _leaves(value, (*above, key))]
