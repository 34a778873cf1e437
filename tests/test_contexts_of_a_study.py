"""A comparison in two contexts, trained for real without Ray: from the study to its effects."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import load
from analysis.report.tables import main_tables
from cktf.rows import PlannedRow
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from tests.kinds import MakeSpec

CONTEXTS = {
    "resnet8/resnet5": {"teacher": {"model": "resnet8"}},
    "resnet5/resnet5": {"teacher": {"model": "resnet5"}, "batch_size": 64},
}
KD = {"objective": {"cross_entropy": {"weight": 0.1}, "kd": {"weight": 0.9}}}


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    """Two contexts x two arms x two seeds, with teachers of one epoch and some published values."""
    return make_spec(
        {"teacher": {"epochs": 1}},
        contexts=CONTEXTS,
        compare={"kd": KD},
        seeds=2,
        reference={
            "source": "Some 2023, Table 1",
            "values": {"resnet5/resnet5": {"baseline": 73.26, "kd": 74.92}},
            "teacher": {"resnet5/resnet5": 75.61},
        },
    )


def test_each_arm_is_compared_with_the_baseline_of_its_context(
    spec: StudySpec,
    train_without_ray: Callable[..., list[tuple[PlannedRow, float | None]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    run = Storage(tmp_path / "run")
    trained = train_without_ray(spec, run)
    tested = {(row.context, row.arm, row.seed): score for row, score in trained if score is not None}
    assert len(tested) == 8

    results = load(run.root)
    assert results.contexts == list(CONTEXTS)
    for row in results.effects.to_dict("records"):
        context = row["context"]
        differences = [tested[context, "kd", seed] - tested[context, "baseline", seed] for seed in (0, 1)]
        assert row["effect"] == pytest.approx(sum(differences) / 2)
    assert results.effects["context"].tolist() == list(CONTEXTS)
    reference = results.arms.set_index(["context", "arm"])["reference"]
    assert reference["resnet5/resnet5", "kd"] == 74.92
    assert reference["resnet8/resnet5"].isna().all()
    teachers = results.trials.groupby("context")["teacher_test_accuracy"].unique()
    assert all(len(measured) == 1 and 0 < measured[0] <= 100 for measured in teachers)
    assert teachers.iloc[0] != teachers.iloc[1]

    across, *_ = main_tables(results)
    assert across.rows[0] == ["arm", *CONTEXTS]
    assert across.rows[1][2] == f"{teachers['resnet5/resnet5'][0]:.2f} (75.61)"
