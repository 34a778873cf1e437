"""A ledger that is collected again and again, as it grows, gives what one collection of all of it gives."""

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis import collect, load
from analysis import epochs as epoch_table
from analysis.collect import ledger_tables
from analysis.earlier import find_earlier
from analysis.folder import open_folder
from analysis.in_memory import RowsInMemory
from analysis.ledger import ledger_files
from cktf.rows import Stage, Status


def files_of(report: Path) -> dict[str, bytes]:
    return {str(path.relative_to(report)): path.read_bytes() for path in report.rglob("*") if path.is_file()}


def goes_on(run: Path) -> bool:
    """Whether the next collection would go on with what lies in RUN/report."""
    folder = open_folder(run)
    return find_earlier(open_folder(run / "report"), folder, ledger_files(folder)) is not None


def assert_as_from_the_beginning(run: Path) -> None:
    collect(run)
    fresh = run.parent / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    collect(run, fresh)
    assert files_of(run / "report") == files_of(fresh)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a study of a few trials have several files of epochs."""
    monkeypatch.setattr(epoch_table, "TRIALS_PER_PART", 3)


def history(ledger: Any) -> list[Path]:
    """Write segments with all that happens to a run: torn lines, resumes, retries, epochs told twice, new terms."""
    segments = [ledger.close_segment(torn='{"kind":"epoch","epoch":3,"pha')]
    again = ledger.plan("theta=0.0", 7)
    ledger.train(again, 30.0, epochs=2, status=Status.FAILED, reason="out of memory")
    segments.append(ledger.close_segment())
    ledger.plan("theta=0.0", 7)
    ledger.planned -= 1  # planned once more under its number
    ledger.lines[-1] = ledger.lines[-1].replace(
        f'"number":{ledger.planned}', f'"number":{ledger.planned - 1}'
    )
    ledger.train(again, 80.0)
    segments.append(ledger.close_segment(torn='{"kind":"end"'))
    late = [ledger.plan(f"late-{seed}", seed, stage=Stage.CONFIRM) for seed in range(4)]
    for trial_id in late:
        ledger.train(trial_id, 85.0)
    ledger.lines = [line.replace("cktf.stage1", "kd") if late[2] in line else line for line in ledger.lines]
    segments.append(ledger.close_segment())
    return segments


@pytest.mark.parametrize("seed", range(6))
def test_a_ledger_cut_anywhere_and_gone_on_with_is_that_read_at_once(
    ablation_writer: Callable[..., Any], seed: int
) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    run = ledger.run
    whole = [(path, path.read_bytes()) for path in history(ledger)]
    total = sum(len(content) for _, content in whole)
    draws = random.Random(seed)  # noqa: S311
    first = len(ledger_head(whole[0][1]))
    for stop in [*sorted(draws.randrange(first, total) for _ in range(5)), total]:
        left = stop
        for path, content in whole:
            path.unlink(missing_ok=True)
            if left > 0:
                path.write_bytes(content[:left])
            left -= len(content)
        assert_as_from_the_beginning(run)
        assert goes_on(run)


def ledger_head(content: bytes) -> bytes:
    """The rows before the first epoch, without which a ledger is none."""
    return content[: content.index(b'{"kind":"epoch"')]


def test_only_the_files_of_trials_with_new_rows_are_written_again(
    ablation_writer: Callable[..., Any],
) -> None:
    ledger = ablation_writer(seeds=3)
    ledger.close_segment()
    _, epochs = collect(ledger.run)
    before = {path.name: path.stat().st_ino for path in Path(epochs).iterdir()}
    assert len(before) == 5
    new = ledger.plan("later", 0)
    ledger.train(new, 80.0)
    ledger.close_segment()
    collect(ledger.run)
    after = {path.name: path.stat().st_ino for path in Path(epochs).iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"part-00005.parquet"}
    assert len(pd.read_parquet(epochs)) == 16 * 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "report" / "epochs.parquet" / "part-00001.parquet").unlink(),
        lambda run: (run / "report" / "trials.parquet").write_bytes(b"PAR1"),
        lambda run: (run / "report" / "rows.parquet").unlink(),
        lambda run: (run / "report" / "rows.parquet").write_bytes(b"PAR1"),
        lambda run: rewrite(run, lambda lines: lines[:-1]),
        lambda run: rewrite(run, lambda lines: [*lines[:-9], lines[-8], lines[-9], *lines[-7:], lines[-1]]),
    ],
    ids=["part lost", "trials cut", "rows lost", "rows cut", "ledger shorter", "ledger rewritten"],
)
def test_whatever_is_no_prefix_of_the_ledger_is_not_gone_on_with(
    ablation_writer: Callable[..., Any], damage: Callable[[Path], None]
) -> None:
    ledger = ablation_writer(seeds=2)
    ledger.close_segment()
    collect(ledger.run)
    assert goes_on(ledger.run)
    damage(ledger.run)
    assert not goes_on(ledger.run)
    assert_as_from_the_beginning(ledger.run)


def rewrite(run: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = run / "ledger" / "000001.jsonl"
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


class KilledWriter(RowsInMemory):
    """Rows of which the second file is never written."""

    def by_part(
        self, number: Callable[[pa.Table], pa.Table], write: Callable[[int, pa.Table], pa.Table]
    ) -> list[pa.Table]:
        def killed(part: int, rows: pa.Table) -> pa.Table:
            if part == 1:
                raise KeyboardInterrupt
            return write(part, rows)

        return super().by_part(number, killed)


def test_a_collection_that_is_killed_between_two_files_is_done_again(
    ablation_writer: Callable[..., Any],
) -> None:
    ledger = ablation_writer(seeds=2)
    ledger.close_segment()
    collect(ledger.run)
    for trial_id in ledger_trials(ledger.run):
        ledger.train(trial_id, 50.0)
    ledger.close_segment()
    with pytest.raises(KeyboardInterrupt):
        collect(ledger.run, engine=KilledWriter)
    assert not goes_on(ledger.run)
    assert set(load(ledger.run).trials["test_accuracy"].round(6)) == {50.0}, (
        "the ledger is read, not half a table"
    )
    assert_as_from_the_beginning(ledger.run)


class Overtaken(RowsInMemory):
    """Rows after which, once they are written, an older collection writes its own, all but its record."""

    def __init__(self, older: Callable[[], object], pieces: Any, parse: Any) -> None:
        super().__init__(pieces, parse)
        self.older = older

    def by_part(self, number: Any, write: Any) -> list[pa.Table]:
        written = super().by_part(number, write)
        self.older()
        return written


def test_what_two_collections_at_once_leave_is_not_read_as_one(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=2)
    ledger.close_segment()
    collect(ledger.run)
    report = ledger.run / "report"
    older = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}

    def write_older() -> None:
        for path, content in older.items():
            path.write_bytes(content)

    ledger.train(ledger.plan("later", 0), 80.0)
    ledger.close_segment()
    truth = load(ledger.run)
    collect(ledger.run, engine=partial(Overtaken, write_older))
    pd.testing.assert_frame_equal(load(ledger.run).epochs, truth.epochs)
    assert_as_from_the_beginning(ledger.run)


def ledger_trials(run: Path) -> list[str]:
    """The trials of a run in the order of planning."""
    return [str(trial_id) for trial_id in ledger_tables(run)[0]["trial_id"].to_pylist()]


def test_a_segment_that_is_not_the_last_and_has_grown_is_read_from_the_beginning(
    ablation_writer: Callable[..., Any],
) -> None:
    ledger = ablation_writer(seeds=2)
    first = ledger.close_segment()
    ledger.train(ledger.plan("later", 0), 80.0)
    ledger.close_segment()
    collect(ledger.run)
    assert goes_on(ledger.run)
    ledger.train(ledger_trials(ledger.run)[0], 10.0)
    first.write_text(first.read_text() + "".join(f"{line}\n" for line in ledger.lines))
    assert not goes_on(ledger.run)
    assert_as_from_the_beginning(ledger.run)
    assert load(ledger.run).trials["test_accuracy"].iloc[0] == pytest.approx(10.0)


def test_another_name_of_the_study_writes_every_file_anew(
    ablation_writer: Callable[..., Any], make_study_row: Callable[..., Any]
) -> None:
    ledger = ablation_writer(seeds=2)
    ledger.close_segment()
    collect(ledger.run)
    ledger.add(make_study_row(study="renamed"))
    ledger.close_segment()
    assert_as_from_the_beginning(ledger.run)
    assert set(pd.read_parquet(ledger.run / "report" / "epochs.parquet")["study"]) == {"renamed"}


def test_the_table_in_memory_is_that_of_the_files(ablation: Path) -> None:
    trials, epochs = ledger_tables(ablation)
    paths = collect(ablation)
    pd.testing.assert_frame_equal(trials.to_pandas(), pd.read_parquet(paths[0]))
    written = pd.read_parquet(paths[1])
    pd.testing.assert_frame_equal(epochs.to_pandas().astype(written.dtypes), written)
