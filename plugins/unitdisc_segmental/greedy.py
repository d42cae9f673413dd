"""Cutting sequences into segments by merging neighbours, the cheapest first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Segments(NamedTuple):
    """Where the segments of a batch begin, and what the last merge of each sequence cost.

    Args:
        starts: (B, S) bool, true on the first latent of each segment, false on padding.
        prices: (B,) float64, the increase of the squared error by the last merge; 0 where nothing was merged.
    """

    starts: np.ndarray
    prices: np.ndarray


def num_segments(lengths: np.ndarray, fraction: float) -> np.ndarray:
    """Return (B,) int64, the segments of sequences of these lengths: at least 1 where there is a latent."""
    wanted: np.ndarray = np.rint(lengths * fraction).clip(1).clip(max=lengths)
    return wanted.astype(np.int64)


def merge(latents: np.ndarray, lengths: np.ndarray, *, fraction: float) -> Segments:
    """Merge neighbouring segments, at first single latents, until `num_segments` of each sequence are left.

    Each merge is that of the two neighbours which adds least to the sum of squared distances of the latents
    to the mean of their segment (Ward 1963), the first of them where several do. This is exactly greedy:
    where neighbours alone may merge, a merge can make the next one cheaper, so none may be done out of order.

    Sequences advance together, one merge of each at a time: few calls, and O(S) steps of O(B S + B D). Sums
    are float64.

    Args:
        latents: (B, S, D) float64, finite on padding, too.
        lengths: (B,) int64.
        fraction: Segments per latent, in (0, 1].
    """
    merges = lengths - num_segments(lengths, fraction)
    order = np.argsort(-merges, kind="stable")  # the sequences with merges left are always the first rows
    chains = _Chains(latents[order], lengths[order])
    for rows in np.bincount(merges)[::-1].cumsum()[::-1][1:].tolist():  # how many have 1, 2, 3, ... or more
        chains.merge_cheapest(rows)
    back = np.argsort(order, kind="stable")
    return Segments(chains.starts()[back], chains.last_price.clip(min=0)[back])


class _Chains:
    """Segments of B sequences under way, each known by the place of its first latent.

    Places count through (B, S + 2): before and after each sequence stands a place that no merge can reach,
    because its square is infinite. A pair is known by the first place of its first segment.
    """

    def __init__(self, latents: np.ndarray, lengths: np.ndarray) -> None:
        batch, steps, dim = latents.shape
        columns = steps + 2
        sums = np.zeros((batch, columns, dim))
        # Prices do not depend on the origin; near the data, products of sums keep their digits.
        np.subtract(latents, latents[:, :1], out=sums[:, 1:-1])
        self.sums = sums.reshape(-1, dim)
        column = np.arange(columns)
        self.is_real = (column >= 1) & (column <= lengths[:, None])
        self.squares = np.where(self.is_real.reshape(-1), np.einsum("nd,nd->n", self.sums, self.sums), np.inf)
        self.sizes = np.ones(batch * columns)
        self.dots = np.zeros(batch * columns)  # of the sums of a pair
        np.einsum("nd,nd->n", self.sums[:-1], self.sums[1:], out=self.dots[:-1])
        self.prices = np.full(batch * columns, np.inf)
        self.prices[:-1] = (self.squares[:-1] + self.squares[1:] - 2 * self.dots[:-1]) / 2
        self.first = np.arange(0, batch * columns, columns)
        self.following = np.arange(batch * columns) + 1
        self.preceding = np.arange(batch * columns) - 1
        self.last_price = np.zeros(batch)

    def merge_cheapest(self, rows: int) -> None:
        """Merge the cheapest pair in each of the first ``rows`` sequences."""
        left = self.prices.reshape(self.is_real.shape)[:rows].argmin(1) + self.first[:rows]
        middle = self.following[left]
        right = self.following[middle]
        self.last_price[:rows] = self.prices[left]
        total = self.sums[left] + self.sums[middle]
        square = self.squares[left] + self.squares[middle] + 2 * self.dots[left]
        size = self.sizes[left] + self.sizes[middle]
        self.sums[left], self.squares[left], self.sizes[left] = total, square, size
        self.following[left], self.preceding[right] = right, left
        self.is_real.reshape(-1)[middle] = False
        self.prices[middle] = np.inf

        beside = np.array((self.preceding[left], right))  # (2, rows): both neighbours of the new segment
        sizes = self.sizes[beside]
        dots = np.einsum("knd,nd->kn", self.sums[beside], total)
        # |sizes * total - size * sums|^2 / ..., expanded: the difference of the means, squared and weighted
        gaps = sizes * sizes * square + size * size * self.squares[beside] - 2 * sizes * size * dots
        prices = gaps / (sizes * size * (sizes + size))
        self.dots[beside[0]], self.dots[left] = dots
        self.prices[beside[0]], self.prices[left] = prices

    def starts(self) -> np.ndarray:
        """Return (B, S) bool, true on the first latent of each segment."""
        return self.is_real[:, 1:-1]
