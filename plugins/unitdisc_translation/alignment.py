"""Word alignment: which token of the source each token of the target stands for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 1
"""Changes when the same text gives another table."""
ITERATIONS = 5
TENSION = 4.0
"""Lambda of Dyer et al. 2013, section 2: how strongly the diagonal draws; where fast_align starts."""
NONE = 0.08
"""p0: share of target tokens that stand for no token of the source."""
FLOOR = 1e-7
"""Probability of pairs of tokens that are rarer, or were never seen together."""
_CHUNK = 4096
"""Sentence pairs at a time."""
MOST = 100_000
"""Sentence pairs that are learnt from: of more, as many at equal distances."""


class Aligner:
    """IBM model 1 with a prior for the diagonal (Dyer et al. 2013), learnt by expectation maximisation.

    Differs from the paper: the tension is fixed, and translation probabilities are maximum likelihood, without a
    Dirichlet prior. Every target token is put to a token of the source in the end: that of no source token, which
    the model has as well, keeps frequent words from being explained by rare ones, and is not offered.

    Args:
        vocab_size: V, of both languages.
        pairs: (N,) int64, ascending: V times the source token plus the target token; V is none.
        probabilities: (N,) float64, of the target token given the source token.
    """

    def __init__(self, vocab_size: int, pairs: np.ndarray, probabilities: np.ndarray) -> None:
        self.vocab_size, self.pairs, self.probabilities = vocab_size, pairs, probabilities

    @classmethod
    def fit(cls, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], *, vocab_size: int) -> Aligner:
        """Learn from sentence pairs, each of int (U,) and (T,), neither empty, without </s>."""
        size = len(sources)
        chosen = np.arange(size) if size <= MOST else np.arange(MOST) * size // MOST
        chunks = [
            Cells.of(
                [sources[number] for number in part],
                [targets[number] for number in part],
                vocab_size=vocab_size,
            )
            for part in np.split(chosen, range(_CHUNK, len(chosen), _CHUNK))
        ]
        pairs = np.unique(np.concatenate([np.unique(cells.pairs) for cells in chunks]))
        places = [np.searchsorted(pairs, cells.pairs).astype(np.int32) for cells in chunks]
        givens = pairs // vocab_size
        probabilities = np.ones(len(pairs))  # the same for all, whatever its sum
        for _ in range(ITERATIONS):
            counts = np.zeros(len(pairs))
            for cells, place in zip(chunks, places, strict=True):
                shares = cells.shares(probabilities[place])
                counts += np.bincount(place, shares, minlength=len(pairs))
            probabilities = counts / np.bincount(givens, counts)[givens]
        kept = probabilities >= FLOOR
        return cls(vocab_size, pairs[kept], probabilities[kept])

    def align(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Return (T,) int64, the place in ``source`` (U,) for which each token of ``target`` (T,) stands."""
        cells = Cells.of([source], [target], vocab_size=self.vocab_size)
        places = np.searchsorted(self.pairs, cells.pairs).clip(max=len(self.pairs) - 1)
        is_known = self.pairs[places] == cells.pairs
        weights = cells.prior * np.where(is_known, self.probabilities[places], FLOOR)
        found: np.ndarray = weights.reshape(len(target), -1)[:, :-1].argmax(1)
        return found

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        written = io.BytesIO()
        np.savez(written, vocab_size=self.vocab_size, pairs=self.pairs, probabilities=self.probabilities)
        return written.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, *, name: str = "alignment") -> Aligner:
        """Return the aligner of these bytes. Raises `DataError` that calls it ``name`` when it is none."""
        try:
            with np.load(io.BytesIO(content)) as stored:
                return cls(int(stored["vocab_size"]), stored["pairs"], stored["probabilities"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{name}: is no table of alignments; remove its folder and start again"
            ) from error


@dataclass(frozen=True)
class Cells:
    """Every way in which a target token of some sentence pairs can be explained, those of a token side by side.

    Args:
        pairs: (C,) int64, V times the source token plus the target token; of no source token, V times V plus it.
        prior: (C,) float64, which sums to 1 over the cells of a target token; the last of them is none.
        sizes: (N,) int64, cells of each of N target tokens.
    """

    pairs: np.ndarray
    prior: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], *, vocab_size: int) -> Cells:
        """Return the cells of sentence pairs, each of int (U,) and (T,), neither empty."""
        widths = np.array([len(source) for source in sources])  # (P,)
        heights = np.array([len(target) for target in targets])
        width, height = np.repeat(widths, heights), np.repeat(heights, heights)  # (N,)
        row = _places(heights)
        # (C,) from here on.
        sizes = width + 1
        column = _places(sizes)
        first = np.repeat(np.cumsum(widths + 1) - widths - 1, heights)  # (N,), of the sentence in `words`
        words = np.concatenate([np.append(source, vocab_size) for source in sources]).astype(np.int64)
        given = words[np.repeat(first, sizes) + column]
        written = np.repeat(np.concatenate(targets).astype(np.int64), sizes)
        aside = np.abs((column + 1) / np.repeat(width, sizes) - np.repeat((row + 1) / height, sizes))
        prior = np.exp(-TENSION * aside)
        ends = np.cumsum(sizes)
        prior[ends - 1] = 0
        prior *= np.repeat((1 - NONE) / np.add.reduceat(prior, ends - sizes), sizes)
        prior[ends - 1] = NONE
        return cls(given * vocab_size + written, prior, sizes)

    def shares(self, probabilities: np.ndarray) -> np.ndarray:
        """Return (C,), the probability of each cell given its target token; ``probabilities`` (C,) of that given it."""
        weights = self.prior * probabilities
        totals = np.add.reduceat(weights, np.cumsum(self.sizes) - self.sizes)
        found: np.ndarray = weights / np.repeat(totals, self.sizes)
        return found


def _places(sizes: np.ndarray) -> np.ndarray:
    """Return 0 to n - 1 for each n of ``sizes``, one after the other."""
    found: np.ndarray = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return found
