"""Scores of a table that seem to stand on two scales, parts of one beside per cent."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

FEWEST, MOST = 50.0, 200.0
"""Ratio of two means between which it is about a hundred."""

MOST_TOLD = 3
"""Pairs that are named."""


def scales_in_words(
    scores: Mapping[tuple[str, str], Sequence[float]], baseline: str, metric: str
) -> list[str]:
    """Return sentences on arms of which one has about a hundred times the scores of the other.

    Arms are compared within their context, baselines over the contexts as well; within an arm, the seeds.

    Args:
        scores: Context and arm to the finite scores at its seeds.
        baseline: Name of the arm that the others are compared with.
        metric: What was scored.
    """
    means = {key: float(np.mean(values)) for key, values in scores.items() if len(values)}
    # The baseline first, so that an arm is rather told beside it than beside another arm.
    order = sorted(means, key=lambda key: key[1] != baseline)
    pairs = [
        (first, second)
        for first, second in itertools.combinations(order, 2)
        if (first[0] == second[0] or first[1] == second[1] == baseline)
        and _is_hundredfold(means[first], means[second])
    ]
    beside = {second for first, second in pairs if first[1] == baseline}
    pairs = [pair for pair in pairs if pair[0][1] == baseline or not beside.intersection(pair)]
    told = [
        f"{_named(first)} has a mean {metric} of {means[first]:.4g}, {_named(second)} of {means[second]:.4g}"
        for first, second in pairs
    ]
    told += [
        f"{_named(key)} has {metric} {min(values):.4g} at one seed and {max(values):.4g} at another"
        for key, values in scores.items()
        if len(values) > 1 and _is_hundredfold(min(values), max(values))
    ]
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    text = "; ".join(told[:MOST_TOLD])
    return (
        [f"About a factor of 100: {text}{more}. Is one of them in per cent and the other not?"]
        if told
        else []
    )


def _is_hundredfold(first: float, second: float) -> bool:
    if first * second <= 0:
        return False
    return math.log(FEWEST) <= abs(math.log(first / second)) <= math.log(MOST)


def _named(key: tuple[str, str]) -> str:
    context, arm = key
    return f"{arm!r} in {context!r}" if context else repr(arm)
