"""The best way to give each unit a label of its own."""

from __future__ import annotations

import numpy as np


def best_assignment(counts: np.ndarray) -> np.ndarray:
    """Return (Y,) the label of each unit, each label at most once, with the largest sum of ``counts`` (Y, X).

    A unit that gets no label is -1. Hungarian algorithm by shortest augmenting paths (Kuhn 1955, Jonker and Volgenant
    1987). Among maps of equal sums it finds the one that ``scipy.optimize.linear_sum_assignment`` does.
    """
    is_wide = counts.shape[0] <= counts.shape[1]
    gains = (counts if is_wide else counts.T).astype(np.float64)
    columns = _cheapest(gains.max(initial=0) - gains)
    labels = np.full(counts.shape[0], -1)
    rows = np.arange(len(gains))
    units, found = (rows, columns) if is_wide else (columns, rows)
    labels[units] = found
    return labels


def _cheapest(costs: np.ndarray) -> np.ndarray:
    """Return (N,) a column for each row of ``costs`` (N, M), N <= M, all different, with the smallest sum."""
    num_rows, num_columns = costs.shape
    row_prices, column_prices = np.zeros(num_rows), np.zeros(num_columns + 1)
    # Each path starts at a column of its own, the last one, which holds the row that has none yet.
    owner = np.full(num_columns + 1, -1)
    for row in range(num_rows):
        column, owner[-1] = num_columns, row
        distance = np.full(num_columns + 1, np.inf)
        before = np.zeros(num_columns + 1, np.int64)
        reached = np.zeros(num_columns + 1, bool)
        waiting = np.arange(num_columns)[::-1].copy()
        while owner[column] >= 0:
            reached[column] = True
            here = owner[column]
            reduced = costs[here] - row_prices[here] - column_prices[:-1]
            shorter = ~reached[:-1] & (reduced < distance[:-1])
            distance[:-1][shorter] = reduced[shorter]
            before[:-1][shorter] = column
            place = _nearest(distance[waiting], owner[waiting] < 0)
            column = int(waiting[place])
            waiting[place] = waiting[-1]
            waiting = waiting[:-1]
            step = distance[column]
            row_prices[owner[reached]] += step
            column_prices[reached] -= step
            distance[~reached] -= step
        while column != num_columns:
            owner[column] = owner[before[column]]
            column = before[column]
    columns = np.empty(num_rows, np.int64)
    taken = np.flatnonzero(owner[:-1] >= 0)
    columns[owner[taken]] = taken
    return columns


def _nearest(distances: np.ndarray, is_free: np.ndarray) -> int:
    """Return the place of the least of ``distances`` (N,): of equals the last free one, else the first."""
    equals = np.flatnonzero(distances == distances.min())
    free = equals[is_free[equals]]
    return int(free[-1] if len(free) else equals[0])
