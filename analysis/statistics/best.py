"""Which arms of a context have the best mean, and which are not significantly worse than the best."""

import numpy as np
import pandas as pd

from analysis.statistics.any_table import complete, reported, trials_of
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import RELATIVE_ROUNDING
from analysis.statistics.paired import paired_effects
from analysis.wording import larger_is_better
from cktf.verdicts import LEVEL, holm

COLUMNS = columns(
    """
    context arm_id arm metric is_best n_pairs difference p p_holm is_among_best
    """
)

FEWEST_SEEDS = 5
"""Seeds with results that an arm needs to be the best or to be tested against it: fewer hardly tell any arms apart."""

BOLD = f"Bold: the best mean of {FEWEST_SEEDS} seeds or more."

NONE_BOLD = f"No mean is in bold: each is of fewer than {FEWEST_SEEDS} seeds, too few to tell the best."

DAGGER = "†"
"""Mark after the mean of an arm that is not significantly different from the best."""

NOT_TOLD = (
    f"{DAGGER}: not told from it (paired t test at the {FEWEST_SEEDS} seeds or more that both have, p adjusted by "
    f"Holm's method over the context's other arms, level {LEVEL})."
)


def best(trials: pd.DataFrame, *, metric: str = "test_accuracy", maximise: bool | None = None) -> pd.DataFrame:
    """Return for each arm of a design, or confirmed arm of a search, whether it is among the best of its context.

    The set of the best is cautious: in simulations it held the truly best arm in 98% of studies or more, and with few
    seeds it holds nearly all arms; with fewer than `FEWEST_SEEDS` of them it holds none. It is no verdict;
    `analysis.statistics.effects.effects` gives verdicts against a baseline that was fixed beforehand.

    Args:
        trials: As `analysis.load` gives them, of which those of a search's own stage are ignored; or a plain table.
        metric: Column that is compared.
        maximise: Whether a larger metric is better; None: it is, and a name that suggests a loss is refused.

    Returns:
        One row for each context and arm that has a result, in the order of planning; the page on tables says what each
        column means. ``p_holm`` is adjusted over the context's other arms.

    Raises:
        InputError: If the table lacks a column, the metric does not hold numbers, or the direction is not known.
    """
    trials = trials_of(trials, metric=metric, what="best", needs_baseline=False)
    maximise = larger_is_better(metric, maximise)
    pool = complete(reported(trials), metric)
    parts = []
    for _, group in pool.groupby("context", sort=False):
        arms = group.drop_duplicates("arm_id")
        scores = group.pivot(index="arm_id", columns="seed", values=metric).reindex(arms["arm_id"])
        values = scores.to_numpy(np.float64)
        means = np.nanmean(values, axis=1)
        has_enough = np.isfinite(values).sum(axis=1) >= FEWEST_SEEDS
        top = np.where(has_enough, means if maximise else -means, -np.inf).argmax()
        sizes = np.nanmax(np.abs(values), axis=1)
        rounding = RELATIVE_ROUNDING * np.maximum(sizes, sizes[top])
        is_best = has_enough & (np.abs(means - means[top]) <= rounding)
        first = is_best.argmax()
        is_first = (np.arange(len(arms)) == first) & has_enough
        found = paired_effects(values, values[first] if is_best.any() else np.full_like(values[0], np.nan))
        p_holm = np.full(len(arms), np.nan)
        p_holm[~is_first] = holm(found.p[~is_first])
        # Differences that do not vary have no p; those that are all 0 need none.
        is_equal = np.isnan(found.p) & (np.abs(found.effect) <= rounding)
        is_told = (p_holm < LEVEL) | (np.isnan(p_holm) & ~is_equal)
        parts.append(
            arms[["context", "arm_id", "arm"]].assign(
                metric=metric,
                is_best=is_best,
                n_pairs=found.n_pairs,
                difference=found.effect,
                p=np.where(is_first, np.nan, found.p),
                p_holm=p_holm,
                is_among_best=is_best | ((found.n_pairs >= FEWEST_SEEDS) & ~is_told),
            )
        )
    return typed(pd.concat(parts, ignore_index=True) if parts else [], COLUMNS)
