"""Scores of a table that seem to stand on two scales, parts of one beside per cent."""

import math

import pandas as pd

from cktf.rows import Status

FEWEST, MOST = 50.0, 200.0
"""Ratio of two means between which it is about a hundred."""

MOST_COMPARED = 300
"""Arms that are all compared with one another; more are compared with the baselines alone."""

MOST_TOLD = 3
"""Pairs that are named."""


def scales_in_words(trials: pd.DataFrame, metric: str, called: str | None = None) -> list[str]:
    """Return sentences on arms of which one has about a hundred times the scores of the other.

    Arms are compared within their context, baselines over the contexts as well; within an arm, the seeds.

    Args:
        trials: As `analysis.statistics.any_table.as_trials` gives them.
        metric: Column of the scores.
        called: What the metric is called; None: as its column.
    """
    called = called or metric
    scored = trials[trials["status"] == Status.COMPLETE]
    scores = {
        (str(context), str(arm)): rows.tolist()
        for (context, arm), rows in scored.groupby(["context", "arm"], sort=False)[metric]
    }
    baselines = {*scored.loc[scored["is_baseline"], "arm"]}
    means = {key: sum(values) / len(values) for key, values in scores.items()}
    # The baseline first, so that an arm is rather told beside it than beside another arm.
    order = sorted(means, key=lambda key: key[1] not in baselines)
    num_first = sum(key[1] in baselines for key in order) if len(order) > MOST_COMPARED else len(order)
    pairs = [
        (first, second)
        for place, first in enumerate(order[:num_first])
        for second in order[place + 1 :]
        if (first[0] == second[0] or (first[1] == second[1] and first[1] in baselines))
        and _is_hundredfold(means[first], means[second])
    ]
    beside = {second for first, second in pairs if first[1] in baselines}
    pairs = [pair for pair in pairs if pair[0][1] in baselines or not beside.intersection(pair)]
    told = [
        f"{_named(first)} has a mean {called} of {means[first]:.4g}, {_named(second)} of {means[second]:.4g}"
        for first, second in pairs
    ]
    told += [
        f"{_named(key)} has {called} {min(values):.4g} at one seed and {max(values):.4g} at another"
        for key, values in scores.items()
        if len(values) > 1 and _is_hundredfold(min(values), max(values))
    ]
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    text = "; ".join(told[:MOST_TOLD])
    return [f"About a factor of 100: {text}{more}. Is one of them in per cent and the other not?"] if told else []


def _is_hundredfold(first: float, second: float) -> bool:
    if not ((0 < first < math.inf and 0 < second < math.inf) or (-math.inf < first < 0 and -math.inf < second < 0)):
        return False
    # Logarithms are subtracted, for a ratio may be too large or too small for a number.
    return math.log(FEWEST) <= abs(math.log(abs(first)) - math.log(abs(second))) <= math.log(MOST)


def _named(key: tuple[str, str]) -> str:
    context, arm = key
    return f"{arm!r} in {context!r}" if context else repr(arm)
