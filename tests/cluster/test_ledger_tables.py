"""A ledger collected by Ray Data gives the same files as one collected in memory, byte for byte."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.ledger import pieces as segments
from analysis.ledger.collect import collect
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Status
from cktf.run.directory import write_what_was_asked
from cktf.run.ledger import Ledger, read_ledger
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from tests.kinds import Cluster, MakeResult, MakeSpec

# Ray Data's own defaults are deprecated by itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data")


def files_of(report: Path) -> dict[str, Any]:
    return {str(path.relative_to(report)): path.read_bytes() for path in report.rglob("*") if path.is_file()}


@pytest.fixture
def train(make_result: MakeResult) -> Callable[..., None]:
    """Return what lets a run go on to the end of a study, with made-up results; some trials fail."""

    def go_on(run: Storage, spec: StudySpec) -> None:
        with Ledger(run) as ledger:
            known = list(read_ledger(run))
            write_what_was_asked(spec, run, ledger)
            planner = Planner(spec, ledger.append, known)
            while isinstance(row := planner.next_trial(), PlannedRow):
                for epoch in range(1, 3 if row.seed == 3 else 6):
                    terms = {"kd.logits": 0.1 * epoch} if row.arm == "baseline" else {"cross_entropy": 1.0}
                    planner.on_epoch(row.trial_id, make_result(epoch, 50.0 + row.seed + epoch, terms=terms))
                status = Status.FAILED if row.seed == 3 else Status.COMPLETE
                planner.on_end(row.trial_id, status, reason="out of memory" if row.seed == 3 else "")

    return go_on


@pytest.fixture
def run(make_spec: MakeSpec, train: Callable[..., None], tmp_path: Path) -> Storage:
    """A run of two arms and six seeds."""
    storage = Storage(tmp_path / "run")
    train(storage, make_spec({"epochs": 5}, seeds=6))
    return storage


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small ledgers have several pieces."""
    monkeypatch.setattr(segments, "PIECE_BYTES", 4000)


@pytest.mark.usefixtures("ray_on_this_machine", "small_pieces")
def test_tables_are_the_same_and_grow_alike(
    run: Storage, make_spec: MakeSpec, train: Callable[..., None], tmp_path: Path
) -> None:
    from cktf.cluster.ledger_tables import parsed_on_ray

    here, there = tmp_path / "here", tmp_path / "there"
    for seeds in (6, 8):
        train(run, make_spec({"epochs": 5}, seeds=seeds))
        collect(run.root, here)
        collect(run.root, there, parsed_on_ray)
        assert files_of(here) == files_of(there)


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_ledger_without_an_epoch_has_an_empty_table(make_spec: MakeSpec, tmp_path: Path) -> None:
    from cktf.cluster.ledger_tables import parsed_on_ray

    run = Storage(tmp_path / "run")
    with Ledger(run) as ledger:
        write_what_was_asked(make_spec(), run, ledger)
    here, there = tmp_path / "here", tmp_path / "there"
    collect(run.root, here)
    collect(run.root, there, parsed_on_ray)
    assert files_of(here) == files_of(there)


@pytest.mark.usefixtures("ray_on_this_machine")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"kind":"epoch","epoch":1,', "is not JSON: "),
        ('{"kind":"epoch","epoch":1}', "'phase' of a row of kind 'epoch' is missing"),
        ('{"kind":"huh"}', "unknown kind 'huh'"),
    ],
)
def test_a_broken_line_is_told_in_the_same_words(run: Storage, line: str, message: str, tmp_path: Path) -> None:
    from cktf.cluster.ledger_tables import parsed_on_ray

    (segment,) = run.child("ledger").names()
    path = Path(run.full("ledger")) / segment
    path.write_text(path.read_text().replace('{"kind":"epoch"', f'{line}\n{{"kind":"epoch"', 1))
    told = []
    for engine in ([], [parsed_on_ray]):
        with pytest.raises(ValueError, match=message) as caught:
            collect(run.root, tmp_path / "out", *engine)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_a_cluster_of_two_nodes_writes_the_report_of_one_machine(
    run: Storage, ray_cluster: Cluster, tmp_path: Path
) -> None:
    address, start_worker, env = ray_cluster  # whose head parses nothing
    start_worker()
    there = tmp_path / "there"
    command = [sys.executable, "-m", "cktf.cli", "report", run.root, "--engine", "ray", "--address", address]
    done = subprocess.run(
        [*command, "--out", str(there)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    collect(run.root, tmp_path / "here")
    written, tables = files_of(there), files_of(tmp_path / "here")
    # The record lists the figures and the page, too, which a collection alone does not make.
    listed = json.loads(tables.pop("report.json"))["files"]
    assert {*listed} < {*json.loads(written["report.json"])["files"]}
    for name, content in tables.items():
        assert written[name] == content
    assert "report.html" in written
