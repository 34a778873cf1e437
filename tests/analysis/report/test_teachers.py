"""How well the teachers do, as tables, page and methods paragraph tell it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import analysis
from analysis.report.methods import methods_text
from analysis.report.tables import side_tables
from analysis.report.write import write_report, write_results
from cktf.rows import TRAINED_HERE, TeacherRow
from tests.analysis.ledgers import LedgerWriter, study_row, write_ablation, write_contexts

FROM_FILE = TeacherRow(
    teacher_id="file",
    model="resnet8",
    data="digits",
    origin="good.pth",
    sha256="0" * 64,
    validation_accuracy=97.25,
    validation_loss=0.125,
    validation_images=400,
    num_classes=10,
    chance=10.5,
    seed=0,
)
TRAINED = TeacherRow(
    teacher_id="teacher-clothes",
    model="vgg13",
    data="fashion_mnist",
    origin=TRAINED_HERE,
    validation_accuracy=11.0,
    validation_loss=2.5,
    validation_images=400,
    num_classes=10,
    chance=10.0,
    test_accuracy=10.75,
    test_loss=2.25,
)


def write(folder: Path, *teachers: TeacherRow, **study: Any) -> Path:
    ledger = write_contexts(folder, **study)
    ledger.add(*teachers)
    return ledger.close()


def test_every_teacher_is_a_row_and_its_last_row_holds(tmp_path: Path) -> None:
    old = TeacherRow(**{**vars(FROM_FILE), "validation_accuracy": 50.0})
    found = analysis.load(write(tmp_path / "run", old, TRAINED, FROM_FILE)).teachers.set_index("teacher_id")
    assert found.index.tolist() == ["file", "teacher-clothes"]
    assert found["validation_accuracy"].tolist() == [97.25, 11.0]
    assert found["validation_images"].tolist() == [400, 400]
    assert found["contexts"].tolist() == ["", "clothes"]
    assert found["near_chance"].tolist() == [False, True]
    assert pd.isna(found["test_accuracy"]["file"])


def test_the_report_has_the_teachers_as_a_table_on_the_page_and_in_the_methods(tmp_path: Path) -> None:
    paths = write_report(write(tmp_path / "run", FROM_FILE, TRAINED))
    table = pd.read_parquet(paths.tables["teachers"])
    assert table["teacher_id"].tolist() == ["file", "teacher-clothes"]
    again = analysis.load(tmp_path / "run" / "report").teachers
    pd.testing.assert_frame_equal(again, paths.results.teachers)
    page = Path(paths.html).read_text()
    assert "<h2>Teachers</h2>" in page
    for name in ("teachers.csv", "teachers.md", "teachers.tex"):
        assert (tmp_path / "run" / "report" / "tables" / name).is_file()
    methods = methods_text(paths.results)
    for text in (methods, (tmp_path / "run" / "report" / "tables" / "methods.md").read_text()):
        assert (
            "The teacher resnet8 of digits, read from good.pth, has a validation accuracy of 97.25% (n = 400 images, "
            "chance 10.50%, loss 0.125)."
        ) in text
        assert (
            "The teacher vgg13 of fashion_mnist (clothes), trained for this study, has a validation accuracy of 11.00% "
            "(n = 400 images, chance 10.00%, loss 2.5), and a test accuracy of 10.75%. This is no better than chance"
        ) in text


def test_a_teacher_near_chance_is_marked_but_not_in_a_smoke_run(tmp_path: Path) -> None:
    results = analysis.load(write(tmp_path / "run", FROM_FILE, TRAINED))
    assert [row[-1][:21] for row in side_tables(results)["teachers"].rows[1:]] == ["", "no better than chance"]
    smoke = analysis.load(write(tmp_path / "smoke", TRAINED, is_smoke=True))
    assert [row[-1] for row in side_tables(smoke)["teachers"].rows[1:]] == [""]
    assert "no better than chance" not in methods_text(smoke)


def test_what_is_not_known_of_a_teacher_is_left_out(tmp_path: Path) -> None:
    bare = {name: value for name, value in vars(FROM_FILE).items() if name not in ("chance", "num_classes")}
    row = TeacherRow(**{**bare, "validation_loss": None, "validation_images": None})
    results = analysis.load(write(tmp_path / "run", row))
    assert "has a validation accuracy of 97.25% (loss not finite)." in methods_text(results)
    (cells,) = side_tables(results)["teachers"].rows[1:]
    assert cells[4:9] == ["–"] * 5


def test_a_run_without_scores_of_teachers_has_no_such_table(tmp_path: Path) -> None:
    results = analysis.load(write_ablation(tmp_path / "run").close())
    assert results.teachers.empty
    assert "teachers" not in side_tables(results)
    assert "teachers" not in write_results(results, tmp_path / "out").tables


def test_runs_that_are_read_together_have_each_teacher_once(tmp_path: Path) -> None:
    for run, teachers in (("a", [FROM_FILE]), ("b", [FROM_FILE, TRAINED])):
        write(tmp_path / run, *teachers)
    found = analysis.load(tmp_path / "a", tmp_path / "b").teachers
    assert sorted(found["teacher_id"]) == ["file", "teacher-clothes"]


@pytest.mark.parametrize("first", [True, False])
def test_a_report_that_is_made_again_knows_teachers_that_came_later(tmp_path: Path, first: bool) -> None:
    ledger = LedgerWriter(tmp_path / "run")
    ledger.add(study_row())
    ledger.train(ledger.plan("baseline", 0, teacher_id="file"), 90.0)
    ledger.close_segment()
    if first:
        write_report(tmp_path / "run")
    ledger.add(FROM_FILE)
    assert write_report(ledger.close()).results.teachers["teacher_id"].tolist() == ["file"]
