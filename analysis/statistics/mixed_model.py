"""Effects over a few contexts by a mixed model, in which what an arm does may differ from context to context.

Fitted by restricted maximum likelihood to the scores of all trials::

    score = mean of its context + effect of its arm
          + arm in this context (random) + seed in this context (random) + error

An arm is told from the baseline where its effect is large against how much effects differ between contexts, for which
all arms together speak: that is what two or three contexts can give and a t test for each arm cannot. The contexts' own
means are fixed, as blocks are: they differ by far more than any effect, and nothing is to be learnt from that.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.intervals import CONFIDENCE, RELATIVE_ROUNDING

Floats = NDArray[np.float64]

OPTIMIZERS = ["lbfgs", "powell"]
"""Of statsmodels, one after the other: the second needs no gradient, which fails where a variance is estimated as 0."""


@dataclass(frozen=True)
class MixedEffects:
    """Effects of arms on the scores, each field an array over the arms; NaN throughout, and a reason, without a model.

    ``effect`` is the difference to the baseline in a context like these; ``p``, that it is 0, is of this arm alone and
    two-sided.
    """

    effect: Floats
    low: Floats
    high: Floats
    p: Floats
    reason: str = ""


def mixed_effects(scores: pd.DataFrame, arms: list[str], baseline: str) -> MixedEffects:
    """Return the effects of arms over contexts.

    Student's t has the degrees of freedom with which differences between arms vary from context to context: the cells,
    minus the arms, minus the contexts, plus one. The normal distribution, which goes with mixed models of many groups,
    would call three in twenty effects real that are none.

    Args:
        scores: One row for each trial that counts: ``context``, ``arm``, ``seed``, ``score``.
        arms: Those whose effects are asked for.
        baseline: The arm that they are compared with.
    """
    import statsmodels.formula.api as smf

    order = [baseline, *arms]
    frame = scores[scores["arm"].isin(order)].assign(
        arm=lambda found: pd.Categorical(found["arm"], order).remove_unused_categories()
    )
    # The means of contexts, which the model leaves open, are taken away, for their digits would be those of the errors.
    of_context = frame.groupby("context")["score"]
    rounding = RELATIVE_ROUNDING * of_context.transform(lambda scores: scores.abs().max())
    frame["score"] -= of_context.transform("mean")
    cells = frame.groupby(["context", "arm"], observed=True).size()
    num_arms, num_contexts = frame["arm"].nunique(), frame["context"].nunique()
    freedom = len(cells) - num_arms - num_contexts + 1
    if num_arms <= len(arms):
        return _none(arms, "an arm has no complete trial")
    if num_contexts < 2 or freedom < 1:
        return _none(arms, "too few contexts to tell how much effects differ between them")
    if cells.max() < 2:
        return _none(arms, "one seed: its noise cannot be told from what differs between contexts")
    model = smf.mixedlm(
        "score ~ C(context) + C(arm)",
        frame,
        groups="context",
        re_formula="0",
        vc_formula={"arm": "0 + C(arm)", "seed": "0 + C(seed)"},
    )
    if np.linalg.matrix_rank(model.exog) < model.exog.shape[1]:
        return _none(arms, "missing trials leave arms that share no context with the others")
    least_squares = np.linalg.lstsq(model.exog, model.endog, rcond=None)[0]
    if (np.abs(model.endog - model.exog @ least_squares) <= rounding).all():
        return _none(arms, "the scores follow the model without error: nothing to test against")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of 0, at the edge of what is allowed, is no fault
        try:
            fit = model.fit(reml=True, method=OPTIMIZERS)
        except np.linalg.LinAlgError:
            return _none(arms, "the mixed model could not be fitted")
    if not fit.converged:
        return _none(arms, "the mixed model did not converge")
    names = [f"C(arm)[T.{arm}]" for arm in arms]
    effect, error = (side[names].to_numpy(np.float64) for side in (fit.fe_params, fit.bse_fe))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    p = 2 * stats.t.sf(np.abs(effect) / error, freedom)
    return MixedEffects(effect, effect - half, effect + half, np.asarray(p))


def _none(arms: list[str], reason: str) -> MixedEffects:
    nothing = np.full(len(arms), np.nan)
    return MixedEffects(nothing, nothing, nothing, nothing, reason)
