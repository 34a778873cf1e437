"""Command lines of every command, with options and arguments that are hardly meant so.

None of them trains anything: the studies that launch and train are given ask for a data set that is not there, and
runs that could go on are of such a study too.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

from typer.testing import CliRunner

from cktf.cli import app as cli
from cktf.errors import UserError
from tests.fuzz.driver import Case
from tests.fuzz.ledgers import runs
from tests.fuzz.mutations import ODD_TEXTS

STUDY = """\
# Is it fast?
baseline:
  data: {name: cifar10, root: nowhere}
  student: {model: resnet8}
  objective: {cross_entropy: {weight: 1.0}}
  epochs: 2
ablate:
  optimizer.momentum: [0.0]
seeds: 2
"""
NOT_UTF_8 = "\udcff\udcfe"
"""Bytes of an argument as Python has them."""

PLACES = (
    *(
        "study.yaml",
        "run",
        "nowhere",
        "file",
        "file/below",
        "pipe",
        ".",
        "/",
        "/dev/null",
        "/proc/self/mem",
        "loop",
        "x" * 300,
    ),
    *(
        "~nobody-of-this-name/x",
        "~",
        "s3://",
        "s3:///x",
        "foo://x",
        "file://",
        "file:///",
        "mock://",
        "a\nb",
        NOT_UTF_8,
        "x\x1by",
    ),
    *(
        "table.csv",
        "sqlite:///nowhere.db",
        "sqlite:///file",
        "postgresql://x",
        "run/ledger",
        "run/study.yaml",
        "study.yaml/",
        "",
    ),
)
NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "1.5",
    "",
    "x",
    "9" * 30,
    "9" * 5000,
    "1e3",
    "0x1",
    "²",
    "nan",
    "inf",
    "-0",
    "+1",
    " 1",
)
OPTIONS: dict[str, tuple[tuple[str, Sequence[str] | None], ...]] = {
    "validate": (("--set", ("seeds=3", "epochs=0", "x=1", "seeds", "=", *ODD_TEXTS)), ("--smoke", None)),
    "launch": (("--set", ("seeds=3", "epochs=0", "x=1")), ("--run-dir", PLACES)),
    "train": (
        ("--arm", ("baseline", "momentum=0", *ODD_TEXTS)),
        ("--seed", NUMBERS),
        ("--context", ODD_TEXTS),
    ),
    "resume": (("--retry-failed", None),),
    "extend": (("--study", PLACES), ("--trials", NUMBERS), ("--seeds", NUMBERS)),
    "status": (),
    "report": (
        *(
            ("--out", PLACES),
            ("--engine", ("local", "spark", "")),
            ("--from", ("csv", "ray-tune", "optuna", *ODD_TEXTS)),
        ),
        *(
            ("--metric", ("acc", *ODD_TEXTS)),
            ("--seed", ODD_TEXTS),
            ("--delta", NUMBERS),
            ("--minimise", None),
        ),
    ),
    "plot": (
        *(
            ("--figure", ("effects", "slices", *ODD_TEXTS)),
            ("--out", (*PLACES, "a.svg", "a.json", "x/y.html", "a.docx")),
        ),
        ("--factor", ("optimizer.momentum", *ODD_TEXTS)),
    ),
    "convert-teacher": (),
}
"""Command to its options and what they are given; None: nothing."""

ARGUMENTS = {"validate": 1, "launch": 1, "train": 1, "convert-teacher": 2, "report": 1}


def command_lines(draws: Random, folder: Path) -> Case:
    """Return a command line of any command."""
    _fill(folder)
    command = draws.choice(list(OPTIONS))
    given: list[str] = []
    takes_study = command in ("validate", "launch", "train")
    for _ in range(ARGUMENTS.get(command, 1)):
        likely = "study.yaml" if takes_study else "run"
        given.append(likely if draws.random() < 0.6 else draws.choice(PLACES))
    for option, values in OPTIONS[command]:
        if draws.random() < 0.4:
            given += [option] if values is None else [option, draws.choice(values)]
    if command == "extend" and "run" in given:  # it would begin to train the digits
        given[given.index("run")] = "unready"
    if command == "report":  # whose pictures take seconds; an early one has none
        given = ["early" if word in ("run", ".", "table.csv") else word for word in given]
    match draws.randrange(12):
        case 0:
            given.insert(
                draws.randrange(len(given) + 1),
                draws.choice(("--nonsense", "-x", "--", "--help", "-h", *ODD_TEXTS)),
            )
        case 1 if given:
            given.pop(draws.randrange(len(given)))
    return Case(f"{command} {given!a}", lambda: use([command, *given], folder), ("",))


def _fill(folder: Path) -> None:
    (folder / "study.yaml").write_text(STUDY)
    (folder / "file").write_text("text")
    (folder / "table.csv").write_text("arm,seed,acc\nbaseline,0,70\nkd,0,71\n")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    for name, content in runs()["ablation"].items():
        is_study, is_ledger = name.endswith("study.yaml"), name.endswith(".jsonl")
        _write(folder / name, content)
        _write(folder / name.replace("run/", "unready/", 1), STUDY.encode() if is_study else content)
        planned = b"".join(content.splitlines(keepends=True)[:4]) if is_ledger else content
        _write(folder / name.replace("run/", "early/", 1), planned)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def use(arguments: Sequence[str], folder: Path) -> None:
    """Run a command in a folder, and raise what it says is wrong with what it was given."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(cli.app, list(arguments), env={"CKTF_DATA": str(folder), "CKTF_CACHE": str(folder)})
    finally:
        os.chdir(before)
    if result.exit_code not in (0, cli.SOME_FAILED, cli.WRONG_INPUT):
        raise AssertionError(f"exit code {result.exit_code}: {result.stderr}") from result.exception
    if result.exit_code == cli.WRONG_INPUT and "Usage:" not in result.stderr:
        raise UserError(result.stderr.rstrip("\n"))
