"""Run directories whose ledger, study or cached teachers are damaged, as status, report and resume read them."""

import json
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from analysis.loading import load
from cktf import driver as run_module
from cktf.epoch_result import EpochResult
from cktf.errors import UserError
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Status
from cktf.run.directory import STUDY, require_study
from cktf.run.ledger import Ledger
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.study.load import Study
from cktf.study.spec import StudySpec
from tests.fuzz.driver import Case
from tests.fuzz.mutations import HALF_A_PAIR, changed, changed_bytes, changed_text, odd_value
from tests.fuzz.reading import read_through

BASELINE: dict[str, Any] = {
    "data": {"name": "digits", "train_fraction": 0.1},
    "student": {"model": "resnet8"},
    "objective": {"cross_entropy": {"weight": 1.0}},
    "epochs": 2,
}
STUDIES: dict[str, dict[str, Any]] = {
    "ablation": {"ablate": {"optimizer.momentum": [0.0]}, "seeds": 3},
    "contexts": {
        "contexts": {"small": {}, "large": {"student": {"model": "resnet14"}}},
        "compare": {"slow": {"optimizer": {"learning_rate": 0.01}}},
        "seeds": 2,
    },
    "search": {
        "search": {
            "optimizer.learning_rate": {"float": [0.001, 0.5], "log": True},
            "optimizer.momentum": {"float": [0, 0.9]},
        },
        "sampler": "random",
        "trials": 8,
        "confirm": {"top": 1, "seeds": 2},
    },
}


@cache
def runs() -> dict[str, dict[str, bytes]]:
    """Return the files of finished runs, whose results are made up, by the name of the study."""
    runs = {}
    for name, keys in STUDIES.items():
        with TemporaryDirectory(prefix="cktf-fuzz-") as folder:
            _finish(
                Study(name=name, baseline=BASELINE, **keys),
                Storage(f"{folder}/run"),
            )
            _report(Path(folder) / "run")  # so that no case pays for what is imported then
            runs[name] = {
                str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
            }
    return runs


def _finish(spec: StudySpec, run: Storage) -> None:
    with Ledger(run) as ledger:
        planner = run_module._planner(spec, run, ledger, retry_failed=False)
        while isinstance(row := planner.next_trial(), PlannedRow):
            _train(planner, row)


def _train(planner: Planner, row: PlannedRow) -> None:
    if row.number % 7 == 6:
        planner.on_end(row.trial_id, Status.FAILED, "the loss is nan in epoch 1")
        return
    for epoch in (1, 2):
        is_last = epoch == 2
        score = 80.0 + epoch + row.seed + row.number % 3
        planner.on_epoch(
            row.trial_id,
            EpochResult(
                epoch=epoch,
                phase="train",
                learning_rate=0.05,
                train_loss=1.0 / epoch,
                train_accuracy=score,
                validation_loss=1.1 / epoch,
                validation_accuracy=score,
                test_loss=1.2 / epoch if is_last else None,
                test_accuracy=score - 1 if is_last else None,
                test_images=360 if is_last else None,
                epoch_seconds=0.1,
                samples_per_second=100.0,
                peak_memory_gib=0.2,
                terms={"cross_entropy": 1.0 / epoch},
                health={"agreement": 0.5} if is_last else {},
            ),
        )
    planner.on_end(row.trial_id, Status.COMPLETE, device="cpu", node="node-1")


def ledgers(draws: Random, folder: Path) -> Case:
    """Return a run directory in which something was changed, read in all ways."""
    name = draws.choice(list(runs()))
    files = dict(runs()[name])
    words = [name]
    (segment,) = [file for file in files if file.endswith(".jsonl")]
    for _ in range(draws.choice((1, 1, 1, 2))):
        file = segment if draws.random() < 0.85 else draws.choice(list(files))
        way = draws.choice(("field", "field", "field", "line", "text", "bytes")) if file == segment else "bytes"
        files[file], what = _damaged(files[file], way, draws)
        words.append(f"{file}: {what}")
    if draws.random() < 0.05:
        lines = files[segment].splitlines(keepends=True)
        at = draws.randrange(len(lines) + 1)
        files[segment], files[segment.replace("000001", "000002")] = (
            b"".join(lines[:at]),
            b"".join(lines[at:]),
        )
        words.append(f"a second segment from line {at + 1}")
    for file, content in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Case(", ".join(words), lambda: use(folder / "run"), (str(folder / "run"),))


def _damaged(content: bytes, way: str, draws: Random) -> tuple[bytes, str]:
    if way == "bytes":
        return changed_bytes(content, draws)
    if way == "text":
        text, what = changed_text(
            content.decode(errors="replace"), draws, ('"\\ud800"', "[" * 2000, "9" * 5000, "NaN", "1e999")
        )
        return text.encode(errors="surrogatepass"), what
    lines = content.decode(errors="replace").splitlines()
    at = draws.randrange(len(lines)) if lines else 0
    try:
        row = json.loads(lines[at])
    except (ValueError, IndexError):
        return content, "nothing more"
    if way == "line":
        match draws.choice(("twice", "gone", "first", "last", "spaced", "torn", "order")):
            case "twice":
                lines.insert(draws.randrange(len(lines)), lines[at])
            case "gone":
                del lines[at]
            case "first":
                lines.insert(0, lines.pop(at))
            case "last":
                lines.append(lines.pop(at))
            case "spaced":
                lines[at] = json.dumps(row, indent=draws.choice((None, 1)))
            case "torn":
                lines[at] = lines[at][: draws.randrange(len(lines[at]))]
            case "order":
                draws.shuffle(lines)
        what = f"line {at + 1}"
    else:
        if isinstance(row, dict) and row and draws.random() < 0.5:
            key = draws.choice(list(row))
            row[key] = draws.choice((odd_value(draws), HALF_A_PAIR))
            what = f"line {at + 1}: {key} is {str(row[key])[:40]!a}"
        else:
            row, what = changed(row, draws)
            what = f"line {at + 1}: {what}"
        lines[at] = json.dumps(row, separators=(",", ":"), ensure_ascii=draws.random() < 0.5)
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass"), what


def use(run: Path) -> None:
    """Read a run as status, report and resume do; the first two agree on whether it can be read."""
    refusals: dict[str, UserError | None] = {}
    for name, read in (("status", _status), ("report", _report), ("resume", _resume)):
        refusals[name] = None
        try:
            read(run)
        except UserError as error:
            refusals[name] = error
    not_of_status = (STUDY, "row of kind 'epoch'")  # it reads neither the study's file nor epochs but the last ones
    is_unread = any(part in str(error) for part in not_of_status for error in refusals.values() if error)
    if not is_unread and bool(refusals["status"]) != bool(refusals["report"]):
        raise AssertionError(f"status and report disagree: {refusals}")
    for refusal in refusals.values():
        if refusal:
            raise refusal


def _status(run: Path) -> None:
    status(str(run))


def _report(run: Path) -> None:
    read_through(load(run))


def _resume(run: Path) -> None:
    storage = Storage(run)
    spec = require_study(storage)
    with Ledger(storage) as ledger:
        run_module._planner(spec, storage, ledger, retry_failed=False).plan()
