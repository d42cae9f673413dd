"""Codewords on a map, and the nearest ones of each."""

from __future__ import annotations

import numpy as np

_CHUNK = 512


def on_map(used: np.ndarray, unused: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return places (N, 2) and (M, 2) within [-1, 1] and the share of the variance of ``used`` that they show.

    The two main directions are those of the codewords ``used`` (N, D), each counted once.
    """
    centre = used.mean(axis=0)
    _, values, directions = np.linalg.svd(used - centre, full_matrices=False)
    axes = np.zeros((2, used.shape[1]))
    axes[: len(directions[:2])] = directions[:2]
    axes *= np.where(axes.sum(axis=1, keepdims=True) < 0, -1, 1)  # a direction has no sign of its own
    total = float((values**2).sum())
    explained = float((values[:2] ** 2).sum()) / total if total else 1.0
    places, others = (used - centre) @ axes.T, (unused - centre) @ axes.T
    largest = max(float(np.abs(places).max()), 1e-12)
    return places / largest, np.clip(others / largest, -1, 1), explained


def nearest(vectors: np.ndarray, most: int) -> list[list[tuple[int, float]]]:
    """Return for each of ``vectors`` (N, D) the numbers of the nearest others and their euclidean distances."""
    count = min(most, len(vectors) - 1)
    found: list[list[tuple[int, float]]] = []
    squares = (vectors**2).sum(axis=1)
    for first in range(0, len(vectors), _CHUNK):
        chunk = vectors[first : first + _CHUNK]
        distances = squares[first : first + _CHUNK, None] - 2 * chunk @ vectors.T + squares
        distances[np.arange(len(chunk)), first + np.arange(len(chunk))] = np.inf
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        for row, others in enumerate(order):
            exact = np.sqrt(((vectors[others] - chunk[row]) ** 2).sum(axis=1))
            found.append(list(zip(others.tolist(), exact.tolist(), strict=True)))
    return found
