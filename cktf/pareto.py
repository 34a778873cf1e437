"""Trade-offs of several metrics: the Pareto front, a few of its points far apart, and the hypervolume.

Losses are (points, metrics), in any units, the smaller the better.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def front(losses: Floats) -> NDArray[np.bool_]:
    """Return which points (points,) are on the Pareto front: none is as good in all metrics and better in one.

    Of equal points all are on the front, or none.
    """
    order = np.lexsort(losses.T[::-1])  # in this order a point can only be dominated by an earlier one
    found: list[int] = []
    for point in order:
        best = losses[found]
        if not ((best <= losses[point]).all(axis=1) & (best < losses[point]).any(axis=1)).any():
            found.append(point)
    is_front = np.zeros(len(losses), bool)
    is_front[found] = True
    return is_front


def spread(losses: Floats, most: int) -> list[int]:
    """Return the indices of at most ``most`` points of a front, spread along it, in order.

    The point with the smallest crowding distance (Deb et al. 2002, section III.B) is dropped, again and again; of
    equally crowded ones, that which is worst in the first metric. The ends, whose distance is infinite, go last.
    """
    left = [*range(len(losses))]
    while len(left) > most:
        crowding = _crowding(losses[left])
        left.pop(min(range(len(left)), key=lambda at: (crowding[at], -losses[left[at], 0], -at)))
    return left


def _crowding(losses: Floats) -> Floats:
    """Return crowding distances (points,): the gap between neighbours as a share of the range, summed over metrics."""
    found = np.zeros(len(losses))
    for values in losses.T:
        order = np.argsort(values, kind="stable")
        ends = np.concatenate([[-np.inf], values[order], [np.inf]])
        found[order] += (ends[2:] - ends[:-2]) / (np.ptp(values) or 1.0)
    return found


def hypervolume(losses: Floats, reference: Floats) -> float:
    """Return the volume that the points dominate below a reference point (metrics,).

    It is summed over slices of the last metric: exact, and quick for fronts of two or three metrics.
    """
    inside = losses[(losses < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    depths = np.diff(inside[:, -1], append=reference[-1])
    volume = 0.0
    for count, depth in enumerate(depths.tolist(), 1):
        volume += depth * hypervolume(inside[:count, :-1], reference[:-1])
    return volume
