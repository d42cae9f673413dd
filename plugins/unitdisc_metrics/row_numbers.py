"""Rows of integers as single numbers, which sort and compare much faster."""

from __future__ import annotations

from math import prod

import numpy as np

_NUMBERS = 2**62
"""Different rows that 64 bits tell apart."""
_FEW = 2**16


def box(*arrays: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the least value and the number of values up to the largest, of each column of ``arrays`` (N, W)."""
    columns = list(zip(*([*rows.T] for rows in arrays), strict=True))
    low = [min(int(part.min()) for part in parts) for parts in columns]
    high = [max(int(part.max()) for part in parts) for parts in columns]
    return low, [most - least + 1 for least, most in zip(low, high, strict=True)]


def fits(spans: list[int]) -> bool:
    """Return whether 64 bits tell all rows of a box apart."""
    return prod(spans) < _NUMBERS


def numbered(rows: np.ndarray, low: list[int], spans: list[int]) -> np.ndarray:
    """Return a number (N,) per row of ``rows`` (N, W) in a box that `fits`; they sort as the rows do."""
    numbers = rows[:, 0] - low[0]
    for column, least, span in zip(rows.T[1:], low[1:], spans[1:], strict=True):
        numbers = numbers * span + (column - least)
    return numbers


def rows_of(numbers: np.ndarray, low: list[int], spans: list[int]) -> np.ndarray:
    """Return the rows (N, W) that ``numbers`` (N,) stand for."""
    return np.column_stack(np.unravel_index(numbers, spans)) + low


def small_numbers(rows: np.ndarray) -> np.ndarray:
    """Return a number (N,) per row of ``rows`` (N, W), not many more of them than rows; they sort as the rows do."""
    if not len(rows):
        return np.zeros(0, np.int64)
    low, spans = box(rows)
    if not fits(spans):
        return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    numbers = numbered(rows, low, spans)
    if prod(spans) <= max(_FEW, len(rows)):
        return numbers
    return np.unique(numbers, return_inverse=True)[1]


def places(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (N,) where each of ``rows`` (N, W) stands among the ascending ``known`` (P, W), which hold it once."""
    if not len(rows):
        return np.zeros(0, np.int64)
    low, spans = box(rows, known)
    if fits(spans):
        return np.searchsorted(numbered(known, low, spans), numbered(rows, low, spans))
    return np.unique(np.concatenate([known, rows]), axis=0, return_inverse=True)[1].reshape(-1)[len(known) :]
