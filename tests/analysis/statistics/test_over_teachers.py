"""Studies whose teachers are crossed with seeds: pairing, means over teachers, and the interval over both."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.any_table import reported
from analysis.statistics.arms import arms
from analysis.statistics.crossed import crossed_mean
from analysis.statistics.effects import effects
from analysis.statistics.over_teachers import TEACHER_SEED, over_teachers

METRIC = "test_accuracy"


def table(scores: dict[str, np.ndarray], **changes: Any) -> pd.DataFrame:
    """Trials of arms by seed and teacher; one column of scores stands for an arm without a teacher."""
    rows = [
        {
            **{"context": "", "arm": arm, "arm_id": arm, "is_baseline": arm == "baseline", "seed": seed},
            **{"stage": "design", "status": "complete", "trial_id": f"{arm}{seed}{teacher}"},
            **{"teacher_id": f"t{teacher}", TEACHER_SEED: float(teacher), METRIC: float(values[seed, teacher])},
        }
        for arm, values in scores.items()
        for seed, teacher in np.ndindex(values.shape)
    ]
    return pd.DataFrame(rows).assign(**changes)


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "baseline": 70 + draw.normal(size=(4, 3)),
        "kd": 72 + draw.normal(size=(4, 3)),
        "none": 65 + draw.normal(size=(4, 1)),
    }


def test_at_each_seed_an_arm_has_the_mean_over_its_teachers(scores: dict[str, np.ndarray]) -> None:
    found = effects(table(scores), metric=METRIC, maximise=True).set_index("arm_id")
    baseline = scores["baseline"].mean(axis=1)
    for arm in ("kd", "none"):
        difference = scores[arm].mean(axis=1) - baseline
        assert found.at[arm, "n_pairs"] == 4
        assert found.at[arm, "effect"] == pytest.approx(difference.mean())
        assert found.at[arm, "sd"] == pytest.approx(difference.std(ddof=1))
    of_kd = arms(table(scores), metric=METRIC).set_index("arm_id").loc["kd"]
    assert (of_kd["n_planned"], of_kd["n"]) == (4, 4)


def test_a_seed_at_which_one_teacher_s_student_is_missing_forms_no_pair(scores: dict[str, np.ndarray]) -> None:
    trials = table(scores)
    is_lost = trials["trial_id"] == "kd21"
    trials.loc[is_lost, "status"] = "failed"
    trials.loc[is_lost, METRIC] = np.nan
    found = effects(trials, metric=METRIC, maximise=True).set_index("arm_id").loc["kd"]
    assert (found["n_pairs"], found["n_lost_by_arm"], found["missing"]) == (3, 1, "seed 2: failed")
    across = over_teachers(trials, metric=METRIC).set_index("arm_id")
    assert across["n_seeds"].tolist() == [3, 4]


def test_over_teachers_trials_are_paired_by_seed_and_teacher(scores: dict[str, np.ndarray]) -> None:
    found = over_teachers(table(scores).sample(frac=1, random_state=0), metric=METRIC).set_index("arm_id")
    expected = crossed_mean(np.stack([scores[arm] - scores["baseline"] for arm in ("kd", "none")]))
    for index, arm in enumerate(("kd", "none")):
        assert found.loc[arm, ["n_seeds", "n_teachers"]].to_numpy().tolist() == [4, 3]
        for name in ("low", "high", "p"):
            assert found.at[arm, name] == pytest.approx(getattr(expected, name)[index])
        assert found.at[arm, "effect"] == pytest.approx(expected.mean[index])
    assert found["p_holm"].min() == pytest.approx(2 * found["p"].min())


def test_trials_of_one_teacher_are_as_they_were(scores: dict[str, np.ndarray]) -> None:
    trials = table({arm: values[:, :1] for arm, values in scores.items()})
    pd.testing.assert_frame_equal(reported(trials), trials)
    assert over_teachers(trials, metric=METRIC).empty
    assert over_teachers(trials.drop(columns=TEACHER_SEED), metric=METRIC).empty


def test_an_arm_whose_students_of_all_teachers_but_one_failed_is_not_taken_for_one_without_teachers() -> None:
    draw = np.random.default_rng(0)
    of_teachers = np.array([70.0, 80.0])  # one teacher's students are ten points better in every arm
    trials = table({arm: of_teachers + 0.1 * draw.normal(size=(5, 2)) for arm in ("baseline", "kd", "at")})
    is_lost = trials["arm"].eq("kd") & trials["teacher_id"].eq("t1")
    trials.loc[is_lost, "status"] = "failed"
    trials.loc[is_lost, METRIC] = np.nan
    found = over_teachers(trials, metric=METRIC).set_index("arm_id")
    assert found["n_seeds"].tolist() == [0, 5]
    assert found["effect"].isna().tolist() == [True, False]
    assert found["effect"].abs().max() < 1
