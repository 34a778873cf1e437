"""A report of a study that a measure decides: its tables, figures and page, and what stands for other measures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.figures.drawing import all_drawings
from analysis.report.tables import main_tables, side_tables
from analysis.report.write import page
from analysis.results import Results
from cktf.rows import EpochRow, StudyRow
from tests.analysis.ledgers import EPOCHS, LedgerWriter, study_row

ARMS = {"baseline": 0.0, "theta=0": 4.0, "theta=0.3": 0.1}


def written(run: Path, study: StudyRow) -> Results:
    """Return the results of three arms at five seeds; smaller errors with other thetas."""
    writer, drawn = LedgerWriter(run), np.random.default_rng(5)
    writer.add(study)
    for seed in range(5):
        for arm, better in ARMS.items():
            params = {} if arm == "baseline" else {"objective.cktf.theta": float(arm.partition("=")[2])}
            before = len(writer.lines)
            writer.train(writer.plan(arm, seed, params), 60 + drawn.normal())
            for at in range(before + 1, before + 1 + EPOCHS):
                writer.lines[at] = measured(writer.lines[at], 9 - better + 0.3 * drawn.normal(), EPOCHS)
    return analysis.load(writer.close())


def measured(line: str, error: float, last: int) -> str:
    from cktf.ledger_lines import parse_row

    row = parse_row(line)
    assert isinstance(row, EpochRow)
    numbers = {"validation_ece": error + 0.2} | ({"test_ece": error, "flops": 2.5e6} if row.epoch == last else {})
    return replace(row, measures=numbers).to_json()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    study = study_row(
        metric="measure.validation_ece",
        report_metric="measure.test_ece",
        maximise=False,
        measures={"validation_ece": False, "test_ece": False, "flops": False},
        factors=["objective.cktf.theta"],
    )
    return written(tmp_path_factory.mktemp("measures") / "run", study)


def test_the_measure_that_decides_has_the_table_that_answers(results: Results) -> None:
    (table,) = main_tables(results)
    assert table.title == "Effects on test calibration error"
    assert table.remark.startswith("Of test calibration error, smaller is better. Verdict:")
    assert [row[-2] for row in table.rows[1:]] == ["–", "helps", table.rows[3][-2]]
    assert table.rows[0][2] == "test calibration error (%), mean ± sd"
    assert (1, 2) not in table.bold
    assert (2, 2) in table.bold


def test_the_others_stand_in_a_table_of_further_measures(results: Results) -> None:
    table = side_tables(results)["measures"]
    assert [row[:2] for row in table.rows[1:]] == [
        ["test accuracy (%)", "theta=0"],
        ["test accuracy (%)", "theta=0.3"],
        ["FLOPs of an image", "theta=0"],
        ["FLOPs of an image", "theta=0.3"],
    ]
    assert table.rows[3][3:6] == ["2500000", "2500000", "+0"]
    assert table.rows[3][-1] == "all 5 differences are equal: no error to test against"
    assert "adjusted over the 2 comparisons of one measure" in table.remark
    assert "by the paired t test, and not over measures" in table.remark


def test_its_figures_and_its_page_are_made(results: Results) -> None:
    drawings, why_not = all_drawings(results)
    assert not why_not
    unmade: dict[str, str] = {}
    html = page(results, drawings, {}, unmade)
    assert not unmade
    assert "learning_curves" in drawings
    assert "Further measures" in html
    assert "the difference in test calibration error between" in " ".join(html.split())


def test_columns_are_there_before_anything_is_measured(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path)
    writer.add(study_row(metric="measure.validation_ece", report_metric="measure.test_ece", maximise=False))
    writer.plan("baseline", 0)
    found = analysis.load(writer.close())
    assert {"measure.validation_ece", "measure.test_ece"} <= {*found.trials} & {*found.epochs}
    assert found.effects.empty
    assert found.measures.empty
