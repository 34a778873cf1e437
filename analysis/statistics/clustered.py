"""Contrasts of arms by least squares, with standard errors clustered by seed, for tables with missing trials.

The model has one mean for every arm and one shift for every seed. Scores of one seed may be correlated in any way, and
arms may have different variances: the covariance of the contrasts is computed from the residuals of whole seeds, each
corrected for its shrinkage by the fit (CR2, Bell and McCaffrey 2002; with the seeds' shifts absorbed, Pustejovsky and
Tipton 2018, theorem 2). Corrections and degrees of freedom assume independent errors of equal variance.
"""

import numpy as np

from analysis.statistics.intervals import Floats

TOLERANCE = 1e-8
"""Numbers between 0 and 1 that are smaller are rounding errors."""


def clustered(scores: Floats, weights: Floats) -> tuple[Floats, Floats, float] | str:
    """Return the contrasts, their covariance and its degrees of freedom, or why there are none.

    For one contrast the degrees of freedom are Satterthwaite's, for several those of the approximate Hotelling test
    (Pustejovsky and Tipton 2018, section 3.2). With no trial missing they are the number of seeds minus one, and the
    contrasts and their covariance are the mean, and its covariance, of the contrasts within each seed.

    Args:
        scores: (seeds, arms), NaN where a trial has no result.
        weights: (contrasts, arms), each row summing to zero, none a combination of the others.
    """
    is_there = np.isfinite(scores)
    seeds = [(np.eye(scores.shape[1])[there], row[there]) for there, row in zip(is_there, scores, strict=True)]
    centred = [(arms - arms.mean(axis=0), values - values.mean()) for arms, values in seeds if len(values) > 1]
    if len(centred) < 2:
        return "fewer than two seeds have results of two of its arms"
    inner = sum(arms.T @ arms for arms, _ in centred)
    bread = np.linalg.pinv(inner, rtol=TOLERANCE, hermitian=True)
    means = bread @ sum(arms.T @ values for arms, values in centred)
    if not np.allclose(weights @ bread @ inner, weights, atol=TOLERANCE):
        return "missing trials leave arms that share no seed with the others"

    # Scaled so that the contrasts are independent and of variance 1, if errors are.
    expected = weights @ bread @ weights.T
    root = np.linalg.cholesky(expected)
    scaled = np.linalg.solve(root, weights) @ bread
    loads = [scaled @ arms.T @ _inverse_root(arms @ bread @ arms.T) for arms, _ in centred]
    gains = np.stack([load @ (values - arms @ means) for load, (arms, values) in zip(loads, centred, strict=True)])
    covariance = root @ (gains.T @ gains) @ root.T

    # Covariance of the residuals of each two pairs (seed, contrast), for independent errors of variance 1.
    count = len(weights)
    reach = np.concatenate([load @ arms for load, (arms, _) in zip(loads, centred, strict=True)])
    common = -(reach @ bread @ reach.T).reshape(len(loads), count, len(loads), count)
    for number, load in enumerate(loads):
        common[number, :, number] += load @ load.T
    if not np.allclose(np.einsum("isit->st", common), np.eye(count), atol=1e-3):
        return "an arm that it needs shares one seed alone with the others"
    own = np.einsum("isjs->ij", common)
    spread = np.sum(own**2) + np.einsum("isjt,itjs->", common, common)
    return weights @ means, covariance, float(count * (count + 1) / spread)


def _inverse_root(taken: Floats) -> Floats:
    """Return CR2's correction: the symmetric root of the pseudo-inverse of I - ``taken``, both (trials, trials)."""
    values, vectors = np.linalg.eigh(np.eye(len(taken)) - taken)
    factors = np.where(values > TOLERANCE, 1 / np.sqrt(np.maximum(values, TOLERANCE)), 0.0)
    return np.asarray((vectors * factors) @ vectors.T)
