"""The mixed model over a few contexts: against analyses of variance, and by simulation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from analysis.statistics.mixed_model import mixed_effects
from cktf.verdicts import holm


def simulated(
    draws: np.random.Generator, contexts: int, arms: list[str], seeds: int, differs: float = 1.0
) -> pd.DataFrame:
    """Return scores without effects; arms differ from context to context, and so do seeds."""
    shape = (contexts, len(arms), seeds)
    scores = (
        10 * draws.standard_normal((contexts, 1, 1))
        + differs * draws.standard_normal((contexts, len(arms), 1))
        + draws.standard_normal((contexts, 1, seeds))
        + 0.5 * draws.standard_normal(shape)
    )
    index = pd.MultiIndex.from_product([range(contexts), arms, range(seeds)], names=["context", "arm", "seed"])
    return pd.Series(scores.ravel(), index, name="score").reset_index()


def test_balanced_scores_are_judged_as_by_an_analysis_of_variance_of_their_means() -> None:
    arms = ["baseline", "kd", "at", "sp"]
    scores = simulated(np.random.default_rng(1), 4, arms, 5)
    found = mixed_effects(scores, arms[1:], "baseline")
    cells = {key: group["score"].mean() for key, group in scores.groupby(["context", "arm"])}
    mean = {arm: np.mean([cells[context, arm] for context in range(4)]) for arm in arms}
    level = {context: np.mean([cells[context, arm] for arm in arms]) for context in range(4)}
    whole = np.mean([*mean.values()])
    squares = sum(
        (cells[context, arm] - mean[arm] - level[context] + whole) ** 2 for context in range(4) for arm in arms
    )
    error = np.sqrt(2 * squares / 9 / 4)  # (4 - 1) (4 - 1) degrees of freedom; a difference of means of 4 contexts
    effect = np.array([mean[arm] - mean["baseline"] for arm in arms[1:]])
    np.testing.assert_allclose(found.effect, effect)
    np.testing.assert_allclose(found.high - found.effect, stats.t.ppf(0.975, 9) * error, rtol=1e-3)
    np.testing.assert_allclose(found.p, 2 * stats.t.sf(np.abs(effect) / error, 9), rtol=5e-3)


def test_missing_trials_and_cells_are_those_of_the_formula() -> None:
    arms = ["baseline", "kd", "at", "sp"]
    scores = simulated(np.random.default_rng(4), 4, arms, 4)
    is_cell = (scores["context"] == 2) & (scores["arm"] == "sp")
    scores = scores[~is_cell].drop(index=[3, 17, 25]).reset_index(drop=True)
    found = mixed_effects(scores, arms[1:], "baseline")
    # Seeds and arms of a context as columns of one design, in which each kind has one variance.
    fit = smf.mixedlm(
        "score ~ C(context) + C(arm, Treatment('baseline'))",
        scores,
        groups=np.ones(len(scores)),
        re_formula="0",
        vc_formula={"arm": "0 + C(context):C(arm)", "seed": "0 + C(context):C(seed)"},
    ).fit(reml=True)
    names = [f"C(arm, Treatment('baseline'))[T.{arm}]" for arm in arms[1:]]
    np.testing.assert_allclose(found.effect, fit.fe_params[names], rtol=1e-3)
    freedom = (4 * 4 - 1) - 4 - 4 + 1
    expected = 2 * stats.t.sf(np.abs(fit.fe_params[names] / fit.bse_fe[names]), freedom)
    np.testing.assert_allclose(found.p, expected, rtol=1e-2)


@pytest.mark.parametrize("differs", [0.0, 1.0])
def test_of_studies_without_effects_one_in_twenty_at_most_tells_any(differs: float) -> None:
    draws = np.random.default_rng(7)
    arms = ["baseline", "kd", "at", "sp"]
    studies = 40
    told = sum(
        holm(mixed_effects(simulated(draws, 3, arms, 3, differs), arms[1:], "baseline").p).min() < 0.05
        for _ in range(studies)
    )
    assert told < 0.05 * studies + 4 * np.sqrt(0.05 * 0.95 * studies)


def test_an_effect_that_is_the_same_everywhere_is_told() -> None:
    arms = ["baseline", "kd", "at", "sp"]
    scores = simulated(np.random.default_rng(2), 3, arms, 5, differs=0.1)
    scores.loc[scores["arm"] == "kd", "score"] += 2.0
    found = mixed_effects(scores, arms[1:], "baseline")
    assert found.low[0] < 2.0 < found.high[0]
    assert found.p[0] < 0.001
    assert found.p[1:].min() > 0.05


@pytest.mark.parametrize(
    ("contexts", "seeds", "keep", "reason"),
    [
        (1, 3, "context >= 0", "too few contexts to tell how much effects differ between them"),
        (3, 1, "context >= 0", "one seed: its noise cannot be told from what differs between contexts"),
        (3, 3, "arm != 'kd'", "an arm has no complete trial"),
        (
            4,
            3,
            "(context < 2) == (arm in ['kd', 'at'])",
            "missing trials leave arms that share no context with the others",
        ),
    ],
)
def test_why_there_is_no_model(contexts: int, seeds: int, keep: str, reason: str) -> None:
    scores = simulated(np.random.default_rng(0), contexts, ["baseline", "kd", "at", "sp"], seeds).query(keep)
    found = mixed_effects(scores, ["kd", "at", "sp"], "baseline")
    assert found.reason == reason
    assert np.isnan(found.p).all()


def test_scores_without_an_error_have_no_figures() -> None:
    scores = simulated(np.random.default_rng(0), 3, ["baseline", "kd", "at"], 3)
    scores["score"] = 90.0 + scores["context"] + (scores["arm"] == "kd")
    found = mixed_effects(scores, ["kd", "at"], "baseline")
    assert found.reason == "the scores follow the model without error: nothing to test against"


def test_a_context_of_another_size_does_not_say_whether_there_are_errors() -> None:
    arms = ["baseline", "kd"]
    scores = simulated(np.random.default_rng(9), 2, arms, 4)
    found = mixed_effects(scores, arms[1:], "baseline")
    is_second = scores["context"] == 1
    shifted = mixed_effects(scores.assign(score=scores["score"] + 1e9 * is_second), arms[1:], "baseline")
    assert not found.reason
    np.testing.assert_allclose(shifted.effect, found.effect, rtol=1e-4)
    np.testing.assert_allclose(shifted.p, found.p, rtol=1e-3)
