"""Linear discriminant analysis with a shrunk covariance, in closed form."""

from __future__ import annotations

import numpy as np


def discriminants(
    vectors: np.ndarray, classes: np.ndarray, others: np.ndarray, *, shrinkage: float
) -> np.ndarray:
    """Return (M, C), the log posterior of each class for ``others`` (M, D), up to a constant per row.

    Classes are Gaussians of one covariance (1 - shrinkage) S + shrinkage * trace(S) / D * I, S being the
    covariance within classes, after each dimension of the training vectors has been standardised (Friedman 1989,
    regularised discriminant analysis). A dimension that does not vary among them is left out.

    Args:
        vectors: (N, D) float64, to learn from.
        classes: (N,) int64 in [0, C), each at least once.
        others: To classify.
        shrinkage: In (0, 1].
    """
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
    varies = deviation > 1e-9 * (np.abs(mean) + np.abs(vectors).max(initial=0))
    known, unknown = ((part[:, varies] - mean[varies]) / deviation[varies] for part in (vectors, others))
    counts = np.bincount(classes)
    means = (np.eye(len(counts))[classes].T @ known) / counts[:, None]  # (C, D)
    within = known - means[classes]
    # Without any variance within classes every direction counts the same.
    ridge = shrinkage * float(np.square(within).mean() if within.size else 0) or 1.0
    weights = _solve(within * np.sqrt((1 - shrinkage) / len(known)), means, ridge)  # (C, D)
    offsets = np.log(counts / len(known)) - (means * weights).sum(axis=1) / 2
    scores: np.ndarray = unknown @ weights.T + offsets
    return scores


def _solve(factor: np.ndarray, means: np.ndarray, ridge: float) -> np.ndarray:
    """Return means (factor' factor + ridge I)^-1 through a system of the smaller side of ``factor`` (N, D)."""
    if len(factor) < factor.shape[1]:
        inner = factor @ factor.T + ridge * np.eye(len(factor))
        solved: np.ndarray = (means - np.linalg.solve(inner, factor @ means.T).T @ factor) / ridge
        return solved
    return np.linalg.solve(factor.T @ factor + ridge * np.eye(factor.shape[1]), means.T).T
