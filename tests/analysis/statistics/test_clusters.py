"""Folds as replicates: one value for each arm and fold, whatever number of seeds it has."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import load
from analysis.statistics.effects import effects
from cktf.errors import InputError


@pytest.fixture
def table() -> pd.DataFrame:
    draws = np.random.default_rng(2)
    rows = []
    for arm, fold in itertools.product(("none", "kd"), range(5)):
        level = draws.normal(0.5 * (arm == "kd"), 1)
        rows += [(arm, fold, seed, draws.normal(level, 0.3)) for seed in range(2 + fold)]
    return pd.DataFrame(rows, columns=["arm", "fold", "seed", "acc"])


def test_each_cluster_counts_once(table: pd.DataFrame) -> None:
    row = effects(table, metric="acc", baseline="none", cluster="fold").iloc[0]
    means = table.groupby(["arm", "fold"])["acc"].mean().unstack("arm")
    expected = stats.ttest_rel(means["kd"], means["none"])
    assert (row["test"], row["n_pairs"], row["df"]) == ("paired t over clusters", 5, 4)
    assert row["effect"] == pytest.approx((means["kd"] - means["none"]).mean())
    np.testing.assert_allclose(row[["statistic", "p"]].tolist(), [*expected])
    with pytest.raises(InputError, match=r"arm 'none' has several rows at seed 0.*--cluster COLUMN"):
        effects(table, metric="acc", baseline="none")


def test_trials_of_several_teachers_at_a_seed_are_not_averaged_before_they_are_in_clusters(table: pd.DataFrame) -> None:
    taught = table.assign(teacher_id="resnet56")
    of_taught, found = (effects(each, metric="acc", baseline="none", cluster="fold") for each in (taught, table))
    pd.testing.assert_frame_equal(of_taught, found)
    # Teachers crossed with seeds are clusters, too: the fixture's folds and seeds, as trials of a run have them.
    taught = table[table["seed"] < 2].rename(columns={"fold": "config.teacher.seed", "acc": "test_accuracy"})
    taught = taught.assign(teacher_id=taught["config.teacher.seed"].astype(str), arm_id=taught["arm"], context="")
    taught = taught.assign(is_baseline=taught["arm"] == "none", stage="design", status="complete")
    row = effects(taught, cluster="config.teacher.seed").iloc[0]
    means = taught.groupby(["arm", "config.teacher.seed"])["test_accuracy"].mean().unstack("arm")
    assert row["n_pairs"] == 5
    assert row["p"] == pytest.approx(stats.ttest_rel(means["kd"], means["none"]).pvalue)


def test_a_fold_in_which_a_trial_failed_forms_no_pair_and_few_folds_no_test(table: pd.DataFrame) -> None:
    lost = (table["arm"] == "kd") & (table["seed"] == 0)
    tables = [table.assign(acc=table["acc"].mask(lost & (table["fold"] < most))) for most in (1, 2)]
    found = [effects(each, metric="acc", baseline="none", cluster="fold") for each in tables]
    assert found[0][["n_pairs", "missing"]].to_numpy().tolist() == [[4, "cluster 0: failed"]]
    assert found[0]["p"].notna().all()
    assert found[1][["n_pairs", "test", "reason"]].to_numpy().tolist() == [
        [3, "none", "3 clusters: a test over clusters needs 4"]
    ]
    assert found[1]["effect"].notna().all()
    with pytest.raises(InputError, match=r"cluster 'fold': a test over clusters needs 4 or more; got 3: 0, 1, 2"):
        effects(table[table["fold"] < 3], metric="acc", baseline="none", cluster="fold")
    with pytest.raises(InputError, match="no column is called 'pool'"):
        effects(table, metric="acc", baseline="none", cluster="pool")


def test_clusters_that_arms_do_not_share_are_judged_by_welch_s_test(table: pd.DataFrame) -> None:
    apart = table.assign(fold=table["fold"] + 10 * (table["arm"] == "kd"))
    row = effects(apart, metric="acc", baseline="none", cluster="fold").iloc[0]
    means = table.groupby(["arm", "fold"])["acc"].mean().unstack("arm")
    assert row["test"] == "Welch's t over clusters"
    assert row["p"] == pytest.approx(stats.ttest_ind(means["kd"], means["none"], equal_var=False).pvalue)


def test_the_contexts_of_a_run_may_be_its_clusters(many_contexts: Callable[..., Path]) -> None:
    results = load(many_contexts(5))
    over = effects(results.trials, cluster="context").set_index("arm")
    known = results.over_contexts.set_index("arm")
    assert set(over["n_pairs"]) == {5}
    for name in ("effect", "low", "high", "p", "p_holm"):
        np.testing.assert_allclose(over[name], known.loc[over.index, name])
