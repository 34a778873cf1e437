"""What a run knows of its teachers, and when."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from analysis import load
from cktf.data import DataConfig
from cktf.driver import extend, launch, resume
from cktf.errors import NotRunnable
from cktf.plan.planner import Planner
from cktf.rows import TRAINED_HERE, EndRow, EpochRow, PlannedRow, Row, Stage, StudyRow, TeacherRow
from cktf.run.directory import write_what_was_asked
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.preflight import require_runnable
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from cktf.trainer.teacher import TeacherConfig
from cktf.trial.teachers import load_teacher
from tests.kinds import MakeSpec, RunToEnd
from tests.runs import begin, printed_on, rows_of

OBJECTIVE: dict[str, Any] = {"cross_entropy": {}, "kd": {}}
ROW = TeacherRow(
    teacher_id="t",
    model="resnet8",
    data="digits",
    origin=TRAINED_HERE,
    validation_accuracy=11.0,
    validation_loss=2.0,
    validation_images=100,
    num_classes=10,
    chance=10.0,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good teacher of the digits."""
    network = load_teacher(
        TeacherConfig(model="resnet8", epochs=6), DataConfig(name="digits"), torch.device("cpu"), None
    )
    torch.save(network.state_dict(), tmp_path / "good.pth")
    return tmp_path / "good.pth"


@pytest.fixture
def shifted(file: Path) -> Path:
    """The same, whose classes are in another order."""
    weights = torch.load(file)
    for key in ("fc.weight", "fc.bias"):
        weights[key] = weights[key].roll(1, 0)
    torch.save(weights, file.with_name("shifted.pth"))
    return file.with_name("shifted.pth")


@pytest.fixture
def taught(make_spec: MakeSpec) -> MakeSpec:
    """A maker of studies of one seed whose students learn from a file, and in one arm from a teacher trained here."""

    def make(path: Path, **teacher: Any) -> StudySpec:
        trained = {"teacher": {"model": "resnet5", "epochs": 1, "checkpoint": None, "accept_any": False}}
        learns = {
            "teacher": {"model": "resnet8", "checkpoint": str(path), **teacher},
            "objective": OBJECTIVE,
            "epochs": 1,
        }
        return make_spec(learns, compare={"trained": trained}, seeds=1)

    return make


@pytest.mark.usefixtures("ray_on_this_machine")
def test_teachers_are_scored_before_their_students_end_and_once(
    taught: MakeSpec, file: Path, run_dir: str, console: Console
) -> None:
    begin(taught(file), run_dir)
    assert extend(run_dir, seeds=1, console=console).complete == 4
    rows = list(read_ledger(Storage(run_dir)))
    from_file, trained = [row for row in rows if isinstance(row, TeacherRow)]
    assert (from_file.origin, trained.origin) == (str(file), TRAINED_HERE)
    assert from_file.validation_accuracy > 80
    planned = [row for row in rows if isinstance(row, PlannedRow)]
    trials = {row.trial_id: row.teacher_id for row in planned if row.stage != Stage.TEACHER}
    assert set(trials.values()) == {from_file.teacher_id, trained.teacher_id}
    assert [row.trial_id for row in planned if row.stage == Stage.TEACHER] == [trained.teacher_id]
    first = next(index for index, row in enumerate(rows) if isinstance(row, EpochRow))
    assert rows.index(from_file) < first
    for index, row in enumerate(rows):
        if isinstance(row, EpochRow | EndRow) and trials.get(row.trial_id) == trained.teacher_id:
            assert rows.index(trained) < index
    resume(run_dir, console=console)
    assert len(rows_of(run_dir, TeacherRow)) == 2


def test_a_launch_with_a_teacher_near_chance_leaves_nothing(
    taught: MakeSpec, shifted: Path, run_dir: str, console: Console
) -> None:
    with pytest.raises(NotRunnable, match=r"arm baseline: teacher\.checkpoint: .*shifted\.pth has an accuracy"):
        launch(taught(shifted), run_dir, console=console)
    assert not Path(run_dir).exists()


def test_of_an_arm_alone_the_teacher_is_scored_at_its_own_seed(taught: MakeSpec, file: Path, shifted: Path) -> None:
    from cktf.study.designs import every_arm

    baseline, trained = every_arm(taught(shifted))
    assert require_runnable(taught(shifted), trained) == []
    with pytest.raises(NotRunnable, match=r"teacher\.checkpoint: .*shifted\.pth has an accuracy"):
        require_runnable(taught(shifted), baseline)
    (row,) = require_runnable(taught(shifted, accept_any=True))
    assert row.is_near_chance
    arm, _ = every_arm(taught(file))
    (row,) = require_runnable(taught(file), replace(arm, config=arm.config.with_seed(7)))
    assert row.seed == 7


def test_a_row_that_the_ledger_has_is_not_written_again(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner = Planner(make_spec(), rows.append)
    for time in (1.0, 2.0):
        planner.on_teachers([replace(ROW, time=time)])
    assert [row for row in rows if isinstance(row, TeacherRow)] == [replace(ROW, time=1.0)]
    again: list[Row] = []
    Planner(make_spec(), again.append, rows).on_teachers([ROW, replace(ROW, validation_accuracy=12.0)])
    assert [row.validation_accuracy for row in again if isinstance(row, TeacherRow)] == [12.0]


def test_a_run_whose_teachers_are_crossed_with_seeds_is_read_back(
    make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd
) -> None:
    run, taught = Storage(tmp_path / "run"), {"teacher": {"model": "resnet8", "epochs": 1}, "objective": OBJECTIVE}
    spec = make_spec(taught, ablate={"objective.kd.weight": [2.0]}, seeds=2, teacher_seeds=[5, 7])
    with Ledger(run) as ledger:
        write_what_was_asked(spec, run, ledger)
        run_to_end(Planner(spec, ledger.append), lambda row, _: 50.0 + row.seed)
    assert len(load(run.root).trials) == 8
    again: list[Row] = []
    assert Planner(spec, again.append, read_ledger(run)).is_done
    assert again == []


@pytest.mark.parametrize("is_smoke", [True, False])
def test_the_status_tells_of_teachers_and_of_those_near_chance(
    make_spec: MakeSpec, tmp_path: Path, is_smoke: bool
) -> None:
    run, spec = Storage(tmp_path / "run"), make_spec(smoke=is_smoke)
    with Ledger(run) as ledger:
        write_what_was_asked(spec, run, ledger)
        Planner(spec, ledger.append).on_teachers([ROW])
    console = Console(file=io.StringIO(), width=200)
    console.print(status(run.root))
    text = printed_on(console)
    assert "resnet8 on digits, validation_accuracy 11 of 100 images" in text
    assert ("no better than chance" in text) == (not is_smoke)
    assert len(rows_of(run.root, StudyRow)) == 1
