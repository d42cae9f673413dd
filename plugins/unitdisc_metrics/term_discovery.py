"""How alike the phones are wherever the same units occur in a row."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from unitdisc.edit_distance import edit_distance
from unitdisc.errors import DataError
from unitdisc.named import codes, frame_target
from unitdisc.repeats import run_starts
from unitdisc_metrics.fragments import Runs, labelled_runs, runs_of, within
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.terms import Terms, is_among

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.metric import Evaluated

Spelling = tuple[int, ...]
Heard = tuple[Runs, Runs, float]
"""The units and the phones of an utterance, and the edge in frames."""
_FRAGMENTS = 2**22
"""Of these, or so many more as one term has, where they lie is in memory at once."""


class TermDiscovery(Mergeable):
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
    bootstraps: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_heard",)

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
        self._heard: list[Heard] = []

    def update(self, item: Evaluated) -> None:
        """Keep the runs of one utterance until all units are known."""
        labels = frame_target(item, self._target)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]
        edge = self._edge * item.frame_rate
        self._heard.append((runs_of(units).narrowed(), labelled_runs(labels).narrowed(), edge))

    def compute(self) -> dict[str, float]:
        """Return NED, coverage and the counts. Raises `DataError` when no frame had a label."""
        phones = sum(len(phones.starts) for _, phones, _ in self._heard)
        if not phones:
            raise DataError(
                f"no labelled frame of target '{self._target}' in the split; score one that has labels"
            )
        terms = Terms([units for units, _, _ in self._heard], self._length)
        repeated, num_fragments = terms.repeated(self._min_count), 0
        covered = 0
        for (_, first, stop), (_, known, _) in zip(
            self._fragments(terms, repeated), self._heard, strict=True
        ):
            covered += _union(first, stop, len(known.starts))
            num_fragments += len(first)
        rng = np.random.Generator(np.random.PCG64(self._seed))
        total, pairs, fragments = 0.0, 0, 0
        # Spellings are looked up for so many terms at once that those of them all need not be in memory.
        for some in np.array_split(repeated, max(1, -(-num_fragments // _FRAGMENTS))):
            for spellings in self._spellings(terms, some):
                fragments += spellings.total()
                if number := _pairs(spellings):
                    total += self._mean(spellings, rng) * number
                    pairs += number
        return {
            "value": total / pairs if pairs else 1.0,
            "coverage": covered / phones,
            "terms": float(len(repeated)),
            "fragments": float(fragments),
            "pairs": float(pairs),
            "phones": float(phones),
        }

    def _fragments(self, terms: Terms, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield of each utterance the fragments of the ``wanted`` terms: term, first phone and that after the last."""
        for (units, known, edge), begun in zip(self._heard, terms, strict=True):
            begins = np.flatnonzero(is_among(begun, wanted))
            starts = units.starts[begins].astype(np.int64)
            stops = units.stops[begins + self._length - 1].astype(np.int64)
            yield begun[begins], *within(starts, stops, known.widened(), edge)

    def _spellings(self, terms: Terms, wanted: np.ndarray) -> Iterator[Counter[Spelling]]:
        """Yield how often the fragments of each of the ``wanted`` terms have which phones; none have none."""
        columns: list[tuple[np.ndarray, ...]] = []
        letters: list[int] = []
        for (owners, first, stop), (_, known, _) in zip(
            self._fragments(terms, wanted), self._heard, strict=True
        ):
            heard = first < stop
            if heard.any():
                columns.append((owners[heard], first[heard] + len(letters), stop[heard] + len(letters)))
                letters += known.symbols[:, 0].tolist()
        if not columns:
            return
        owners, first, stop = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        columns.clear()
        order = np.argsort(owners, kind="stable")
        begins = run_starts(owners[order][:, None])
        for begin, end in pairwise([*begins.tolist(), len(order)]):
            own = order[begin:end]
            places = zip(first[own].tolist(), stop[own].tolist(), strict=True)
            yield Counter(tuple(letters[a:b]) for a, b in places)

    def _mean(self, spellings: Counter[Spelling], rng: np.random.Generator) -> float:
        """Return the mean distance between two fragments of a term."""
        counts = dict(sorted(spellings.items()))
        if len(counts) * (len(counts) - 1) // 2 <= self._max_pairs:
            unlike = combinations(counts.items(), 2)
            return sum(n * m * _distance(one, other) for (one, n), (other, m) in unlike) / _pairs(spellings)
        listed = list(counts)
        owners = np.repeat(np.arange(len(listed)), list(counts.values()))
        first = rng.integers(0, len(owners), self._max_pairs)
        other = (first + rng.integers(1, len(owners), self._max_pairs)) % len(owners)
        drawn = zip(owners[first].tolist(), owners[other].tolist(), strict=True)
        return sum(_distance(listed[a], listed[b]) for a, b in drawn) / self._max_pairs


def _pairs(spellings: Counter[Spelling]) -> int:
    return spellings.total() * (spellings.total() - 1) // 2


def _distance(one: Spelling, other: Spelling) -> float:
    return edit_distance(one, other) / max(len(one), len(other))


def _union(first: np.ndarray, stop: np.ndarray, size: int) -> int:
    """Return how many of ``size`` places lie in any of the ranges [first, stop)."""
    steps = np.bincount(first, minlength=size + 1) - np.bincount(stop, minlength=size + 1)
    return int((np.cumsum(steps) > 0).sum())
