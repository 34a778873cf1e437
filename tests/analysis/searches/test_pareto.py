"""The Pareto front of a search of accuracy and size: in tables, figures and importances."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from analysis import load
from analysis.exports.optuna import export
from analysis.figures import hypervolume, importance, pareto
from analysis.figures.theme import WIDTH
from analysis.report.answer import answer_text
from analysis.report.tables import side_tables
from analysis.results import Results
from analysis.searches.pareto import metric_means, volumes
from cktf.pareto import hypervolume as volume_of
from cktf.rows import Stage
from tests.analysis.ledgers import LedgerWriter, study_row

FLOPS = "measure.flops"


def compressed(run: Path, *, confirm: bool = True, more: dict[str, bool] | None = None) -> Results:
    """Return the results of a search of width, which decides size and accuracy, and temperature, which does nothing."""
    ledger = LedgerWriter(run)
    ledger.add(
        study_row(
            design="search",
            factors=["student.width", "temperature"],
            further_metrics={FLOPS: False} | (more or {}),
            measures={"flops": False},
        )
    )
    draws = np.random.default_rng(0)
    arms = {}
    for number in range(40):
        width = float(draws.uniform(0.25, 2))
        arms[f"arm{number}"] = accuracy, flops = 80 + 8 * np.log(width) + draws.normal(), 1000 * width**2
        levels = {"student.width": width, "temperature": float(draws.uniform(1, 8))}
        trial_id = ledger.plan(f"arm{number}", 0, levels, Stage.SEARCH)
        ledger.train(trial_id, accuracy, tests=False, measures={"flops": flops} if number != 3 else {})
    ends = [pick(arms, key=lambda arm: arms[arm][1]) for pick in (min, max)]
    for seed in range(100, 104) if confirm else ():
        for arm in ("baseline", *ends):
            accuracy, flops = arms.get(arm, (60.0, 5000.0))
            trial_id = ledger.plan(arm, seed, stage=Stage.CONFIRM)
            ledger.train(trial_id, accuracy - 1 + 0.1 * draws.normal(), measures={"flops": flops})
    return load(ledger.close())


@pytest.fixture(scope="module")
def compression(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return compressed(tmp_path_factory.mktemp("compression"))


def test_with_crossed_teachers_intervals_and_numbers_of_seeds_are_those_of_the_means_over_teachers(
    compression: Results,
) -> None:
    trials, draws = compression.trials, np.random.default_rng(0)
    apart = draws.normal(0, 5, len(trials))
    of_teachers = [
        trials.assign(teacher_id=f"t{sign}", validation_accuracy=trials["validation_accuracy"] + sign * apart)
        for sign in (-1, 1)
    ]
    found = replace(compression, trials=pd.concat(of_teachers, ignore_index=True))
    pd.testing.assert_frame_equal(found.pareto, compression.pareto)
    assert found.searched["n"].tolist() == compression.searched["n"].tolist()


def test_the_front_is_that_of_all_pairs_with_means_at_fresh_seeds(compression: Results) -> None:
    searched = compression.trials[(compression.trials["stage"] == "search") & compression.trials[FLOPS].notna()]
    points = dict(zip(searched["arm_id"], searched[["validation_accuracy", FLOPS]].to_numpy(), strict=True))
    front = {
        arm
        for arm, (accuracy, flops) in points.items()
        if not any(a >= accuracy and f <= flops and (a, f) != (accuracy, flops) for a, f in points.values())
    }
    table = compression.pareto
    assert set(table["arm_id"]) == front | {"arm-baseline", "arm-arm9"}  # the largest is confirmed, and not on it
    assert table["metric"].tolist() == ["validation_accuracy", FLOPS] * (len(front) + 2)
    assert table["is_baseline"].tolist() == [True, True] + [False] * 2 * (len(front) + 1)
    fresh = compression.trials[compression.trials["stage"] == "confirm"].groupby("arm_id")
    confirmed = table[table["n"] > 0].set_index(["arm_id", "metric"])
    for arm_id, own in fresh:
        half = 3.182446 * own["validation_accuracy"].std() / 2  # t at 3 degrees of freedom, 4 seeds
        found = confirmed.xs((str(arm_id), "validation_accuracy"))
        assert found["n"] == 4
        assert found[["low", "high"]].to_numpy().tolist() == pytest.approx(
            [own["validation_accuracy"].mean() - half, own["validation_accuracy"].mean() + half]
        )
        assert confirmed.at[(arm_id, FLOPS), "mean"] == own[FLOPS].iloc[0]
    # The baseline is worse in both; of the two ends neither dominates.
    assert table[table["is_on_front"]]["arm_id"].nunique() == 2
    assert not table["is_on_front"].iloc[0]


def test_the_table_the_figures_and_the_measures_speak_of_both_metrics(compression: Results) -> None:
    front, by_factor = (side_tables(compression)[kind] for kind in ("pareto", "importance"))
    assert front.rows[0][2:] == [
        "validation accuracy (%), search", "fresh seeds [95% interval]",
        "FLOPs of an image, search", "fresh seeds [95% interval]",
        "on the front",
    ]  # fmt: skip
    assert front.rows[1][0] == "baseline"
    assert [row[-1] for row in front.rows[1:4]] == ["no", "–", "–"]
    assert "larger validation accuracy, smaller FLOPs of an image" in front.remark
    assert by_factor.rows[0][:2] == ["metric", "factor"]
    assert {row[0] for row in by_factor.rows[1:]} == {"validation accuracy", "FLOPs of an image"}
    assert set(compression.measures["metric"]) == {FLOPS}
    drawn = pareto.record(compression)
    assert drawn is not None
    assert [row["side"] for row in drawn.rows].count(pareto.FRESH) == 3
    assert "n = 39 complete arms" in drawn.caption
    for figure in (pareto, hypervolume, importance):
        record = figure.record(compression)
        assert figure.chart(record).to_dict()


def test_numbers_of_the_front_are_written_where_they_cover_no_other(compression: Results) -> None:
    drawn = pareto.record(compression)
    assert drawn is not None
    (values,) = pareto.chart(drawn).to_dict()["datasets"].values()
    written = [row for row in values if row["text"] != ""]
    on_front = [row for row in drawn.rows if row["side"] == pareto.FRONT]
    assert 3 < len(written) < len(on_front)
    spans = [np.ptp([row[name] for row in drawn.rows]) for name in ("x", "score")]
    for row, other in combinations(written, 2):
        across = abs(row["x"] - other["x"]) / spans[0] * WIDTH
        up = abs(row["score"] - other["score"]) / spans[1] * pareto.HEIGHT
        assert across > pareto.ROOM[0] or up > pareto.ROOM[1]


def test_a_factor_without_influence_is_below_its_shadow_for_each_metric(compression: Results) -> None:
    found = compression.importance.set_index(["metric", "method", "factor"]).sort_index()
    for metric in ("validation_accuracy", FLOPS):
        for method in ("ped-anova", "fanova"):
            of_method = found.xs((metric, method))
            assert of_method["importance"]["student.width"] > of_method["shadow"]["student.width"]
            assert of_method["importance"]["temperature"] < of_method["shadow"]["temperature"]
            assert 0 < of_method["shadow"].max() < 1
    assert np.isnan(found["shadow"][(FLOPS, "fanova", "interactions")])


def test_the_hypervolume_grows_to_that_of_all_arms(compression: Results) -> None:
    study = compression.facts.study
    means = metric_means(compression.trials, study, Stage.SEARCH)
    grown = volumes(means, study)
    losses = means.to_numpy() * [-1, 1]
    scaled = (losses - losses.min(axis=0)) / np.ptp(losses, axis=0)
    expected = [volume_of(scaled[:count], np.ones(2)) for count in range(1, len(scaled) + 1)]
    np.testing.assert_allclose(grown, expected)
    assert (np.diff(grown) >= 0).all()


def test_the_hypervolume_stands_at_the_number_of_each_arms_first_trial(compression: Results) -> None:
    numbers = compression.trials.set_index("arm")["number"]
    drawn = hypervolume.record(compression)
    assert drawn is not None
    assert all(row["number"] == numbers[row["arm"]].min() + 1 for row in drawn.rows)
    assert hypervolume.chart(drawn).to_dict()["layer"][0]["encoding"]["x"]["title"] == "trial"


def test_the_front_is_optunas_of_the_exported_trials(compression: Results, tmp_path: Path) -> None:
    export(compression, str(tmp_path / "optuna.db"))
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    found = compression.pareto.dropna(subset="search_score")
    assert {trial.user_attrs["arm"] for trial in study.best_trials} == {*found["arm"]} - {"arm9"}


def test_three_metrics_have_two_panels_and_an_unconfirmed_front(tmp_path: Path) -> None:
    results = compressed(tmp_path, confirm=False, more={"validation_loss": False})
    drawn = pareto.record(results)
    assert drawn is not None
    assert list(dict.fromkeys(row["cost"] for row in drawn.rows)) == ["FLOPs of an image", "validation loss"]
    assert len(pareto.chart(drawn).to_dict()["spec"]["layer"]) == 2
    assert results.pareto["is_on_front"].all()
    assert (results.pareto["n"] == 0).all()


def test_what_is_said_of_a_front_that_nothing_has_confirmed(tmp_path: Path, compression: Results) -> None:
    unconfirmed = compressed(tmp_path, confirm=False)
    best = unconfirmed.leaderboard.iloc[0]
    assert answer_text(unconfirmed) == (
        f"Nothing is confirmed: {best['arm']} has the best search score of validation accuracy, {best['score']:.2f} %, "
        "one of several metrics."
    )
    remark = side_tables(unconfirmed)["pareto"].remark
    assert "On the front: no other arm of the search does so;" in remark
    assert "effects" not in remark
    remark = side_tables(compression)["pareto"].remark
    assert "On the front: no other confirmed arm, by the means, does so;" in remark
    assert "in the tables of effects and of further measures." in remark


def test_a_search_of_one_metric_has_no_front(search: Path) -> None:
    results = load(search)
    assert results.pareto.empty
    assert hypervolume.record(results) is None
