"""Intervals of effects that hold for other test images: which bits they are made of, and where there is none."""

import base64
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.crossed import crossed_mean
from analysis.statistics.effects import effects

IMAGES = 50


def table(right: dict[str, np.ndarray], **changes: Any) -> pd.DataFrame:
    """Trials of arms, from truth values (seeds, teachers, images)."""
    rows = [
        {
            **{"context": "", "arm": arm, "arm_id": arm, "is_baseline": arm == "baseline", "seed": seed},
            **{"stage": "design", "status": "complete", "trial_id": f"{arm}-{seed}-{teacher}", "teacher_id": teacher},
            **{"test_accuracy": 100 * bits.mean(), "test_images": float(IMAGES), "config.data.name": "digits"},
            "test_correct": base64.b64encode(np.packbits(bits).tobytes()).decode(),
        }
        for arm, values in right.items()
        for seed, of_seed in enumerate(values)
        for teacher, bits in enumerate(of_seed)
    ]
    return pd.DataFrame(rows).assign(**changes)


@pytest.fixture
def right() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    easy = draw.random(IMAGES)
    return {arm: draw.random((4, 1, IMAGES)) < 0.9 * easy for arm in ("baseline", "kd", "at")}


def test_it_is_that_of_seeds_crossed_with_images(right: dict[str, np.ndarray]) -> None:
    trials = table(right).sample(frac=1, random_state=0)
    found = effects(trials).set_index("arm")
    for arm in ("kd", "at"):
        expected = crossed_mean(100 * (right[arm][:, 0].astype(float) - right["baseline"][:, 0]))
        assert found.at[arm, "effect"] == pytest.approx(expected.mean)
        assert found.loc[arm, ["low_images", "high_images"]].to_numpy().tolist() == pytest.approx(
            [expected.low, expected.high]
        )
    one_sided = effects(trials, alternative="better").set_index("arm")
    narrow = crossed_mean(100 * (right["kd"][:, 0].astype(float) - right["baseline"][:, 0]), 0.9)
    assert one_sided.at["kd", "low_images"] == pytest.approx(narrow.low)


def test_in_a_race_it_is_of_the_seeds_of_the_last_look_and_as_much_wider_as_the_repeated_one(
    right: dict[str, np.ndarray],
) -> None:
    found = effects(table(right), looks=[3, 5]).set_index("arm")
    differences = 100 * (right["kd"][:3, 0].astype(float) - right["baseline"][:3, 0])
    half = (found["high"] - found["effect"])["kd"]
    critical = half / (differences.mean(axis=1).std(ddof=1) / np.sqrt(3))
    expected = crossed_mean(differences, 1 - 2 * stats.t.sf(critical, 2))
    assert found.loc["kd", ["low_images", "high_images"]].to_numpy().tolist() == pytest.approx(
        [expected.low, expected.high]
    )


def test_an_image_counts_by_the_share_of_teachers_whose_students_have_it_right(right: dict[str, np.ndarray]) -> None:
    of_two = {arm: np.concatenate([values, right["kd"][:, :, ::-1]], axis=1) for arm, values in right.items()}
    found = effects(table(of_two)).set_index("arm")
    expected = crossed_mean(100 * (of_two["at"].mean(axis=1) - of_two["baseline"].mean(axis=1)))
    assert found.loc["at", ["low_images", "high_images"]].to_numpy().tolist() == pytest.approx(
        [expected.low, expected.high]
    )


def test_only_pairs_count(right: dict[str, np.ndarray]) -> None:
    trials = table(right)
    is_lost = trials["trial_id"] == "kd-1-0"
    trials.loc[is_lost, "status"] = "failed"
    trials.loc[is_lost, "test_accuracy"] = np.nan
    left = [0, 2, 3]
    expected = crossed_mean(100 * (right["kd"][left, 0].astype(float) - right["baseline"][left, 0]))
    assert effects(trials).set_index("arm").at["kd", "low_images"] == pytest.approx(expected.low)


def test_without_all_bits_on_the_same_images_of_the_test_accuracy_there_is_none(right: dict[str, np.ndarray]) -> None:
    trials = table(right)
    lacks = trials.assign(test_correct=trials["test_correct"].where(trials["trial_id"] != "kd-2-0", ""))
    others = trials.assign(**{"config.data.name": trials["arm"].where(trials["arm"] == "kd", "digits")})
    for changed in (lacks, others):
        found = effects(changed).set_index("arm")
        assert found["low_images"].isna().tolist() == [True, False]
    assert effects(trials.drop(columns="test_correct"))["low_images"].isna().all()
    assert effects(trials.assign(other=trials["test_accuracy"]), metric="other")["low_images"].isna().all()
    assert effects(trials[trials["seed"] == 0])["low_images"].isna().all()
