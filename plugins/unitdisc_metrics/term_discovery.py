"""How alike the phones are wherever the same units occur in a row."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from unitdisc.edit_distance import edit_distance
from unitdisc.errors import DataError
from unitdisc.metric import Metric
from unitdisc_metrics.fragments import Runs, labelled_runs, runs_of, within
from unitdisc_metrics.named import codes, frame_target
from unitdisc_metrics.row_numbers import small_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.metric import Evaluated

Spelling = tuple[int, ...]


class TermDiscovery(Metric):
    """Normalised edit distance (NED) between the phones of repeated units, and how much speech these cover.

    A term is ``length`` different units in a row, however long each lasts, that occurs ``min_count`` times or more
    in the split; its fragments are these occurrences. NED is the mean over all pairs of fragments of one term of
    edits / length of the longer one, 0 when terms always sound alike; "coverage" is the share of phones that lie in
    a fragment (Ludusan et al. 2014; the Zero Resource Challenge 2017, whose fragments are those of the system,
    of any length). A fragment without a phone has no part in it. Without a pair NED is 1.

    "terms", "fragments", "pairs" and "phones" are the counts. A term with more than ``max_pairs`` pairs of
    different spellings counts by a sample of so many pairs.

    Args:
        target: Name of a target with one label per frame: phones.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        length: Different units in a row that make a term.
        min_count: Occurrences that make it one.
        edge: A phone at the edge is part of a fragment that holds more of it than this, or more than half of it;
            in seconds, or in columns for images.
        max_pairs: Of one term.
        seed: Of the samples.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(
        self,
        *,
        target: str,
        book: Annotated[int, Ge(0)] | None = None,
        length: Annotated[int, Ge(1)] = 3,
        min_count: Annotated[int, Ge(2)] = 2,
        edge: Annotated[float, Ge(0)] = 0.03,
        max_pairs: Annotated[int, Ge(1)] = 1000,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self._target, self._book = target, book
        self._length, self._min_count, self._edge = length, min_count, edge
        self._max_pairs, self._seed = max_pairs, seed
        self._heard: list[tuple[Runs, Runs, float]] = []

    def update(self, item: Evaluated) -> None:
        """Keep the runs of one utterance until all units are known."""
        labels = frame_target(item, self._target)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]
        self._heard.append((runs_of(units), labelled_runs(labels), self._edge * item.frame_rate))

    def compute(self) -> dict[str, float]:
        """Return NED, coverage and the counts. Raises `DataError` when no frame had a label."""
        phones = sum(len(phones.starts) for _, phones, _ in self._heard)
        if not phones:
            raise DataError(
                f"no labelled frame of target '{self._target}' in the split; score one that has labels"
            )
        spellings: dict[int, Counter[Spelling]] = {}
        covered = 0
        for (units, known, edge), terms in zip(self._heard, self._terms(), strict=True):
            begins = np.flatnonzero(terms >= 0)
            ends = units.stops[begins + self._length - 1] if len(begins) else begins
            first, stop = within(units.starts[begins], ends, known, edge)
            covered += _union(first, stop, len(known.starts))
            letters = known.symbols[:, 0].tolist()
            for term, a, b in zip(terms[begins].tolist(), first.tolist(), stop.tolist(), strict=True):
                spellings.setdefault(term, Counter()).update([tuple(letters[a:b])] if a < b else [])
        distances = list(self._distances(spellings))
        pairs = sum(number for _, number in distances)
        return {
            "value": sum(mean * number for mean, number in distances) / pairs if pairs else 1.0,
            "coverage": covered / phones,
            "terms": float(len(spellings)),
            "fragments": float(sum(counts.total() for counts in spellings.values())),
            "pairs": float(pairs),
            "phones": float(phones),
        }

    def _terms(self) -> list[np.ndarray]:
        """Return for each utterance the number (R,) of the term that begins with each run, -1 for none."""
        numbers = small_numbers(np.concatenate([units.symbols for units, _, _ in self._heard]))
        sizes = [len(units.starts) for units, _, _ in self._heard]
        found = [np.full(size, -1) for size in sizes]
        rows = [
            np.lib.stride_tricks.sliding_window_view(row, self._length)
            for row in np.split(numbers, np.cumsum(sizes)[:-1])
            if len(row) >= self._length
        ]
        if not rows:
            return found
        terms = small_numbers(np.concatenate(rows))
        terms = np.where(np.bincount(terms)[terms] >= self._min_count, terms, -1)
        longer = [row for row in found if len(row) >= self._length]
        for row, begun in zip(
            longer, np.split(terms, np.cumsum([len(row) for row in rows])[:-1]), strict=True
        ):
            row[: len(begun)] = begun
        return found

    def _distances(self, spellings: dict[int, Counter[Spelling]]) -> Iterator[tuple[float, int]]:
        """Yield the mean distance between two fragments of each term, and the number of such pairs."""
        rng = np.random.Generator(np.random.PCG64(self._seed))
        for term in sorted(spellings):
            counts = dict(sorted(spellings[term].items()))
            number = sum(counts.values())
            pairs = number * (number - 1) // 2
            if pairs:
                yield self._mean(counts, pairs, rng), pairs

    def _mean(self, counts: dict[Spelling, int], pairs: int, rng: np.random.Generator) -> float:
        if len(counts) * (len(counts) - 1) // 2 <= self._max_pairs:
            unlike = combinations(counts.items(), 2)
            return sum(n * m * _distance(one, other) for (one, n), (other, m) in unlike) / pairs
        listed = list(counts)
        owners = np.repeat(np.arange(len(listed)), list(counts.values()))
        first = rng.integers(0, len(owners), self._max_pairs)
        other = (first + rng.integers(1, len(owners), self._max_pairs)) % len(owners)
        drawn = zip(owners[first].tolist(), owners[other].tolist(), strict=True)
        return sum(_distance(listed[a], listed[b]) for a, b in drawn) / self._max_pairs


def _distance(one: Spelling, other: Spelling) -> float:
    return edit_distance(one, other) / max(len(one), len(other))


def _union(first: np.ndarray, stop: np.ndarray, size: int) -> int:
    """Return how many of ``size`` places lie in any of the ranges [first, stop)."""
    steps = np.bincount(first, minlength=size + 1) - np.bincount(stop, minlength=size + 1)
    return int((np.cumsum(steps) > 0).sum())
