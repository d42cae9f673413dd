"""How well units find whole words or phones, and the lexicon of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from unitdisc.errors import DataError
from unitdisc.named import codes, frame_target
from unitdisc_metrics.fragments import Runs, labelled_runs, runs_of, within
from unitdisc_metrics.mergeable import Mergeable

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated

Type = tuple[int, ...]


class Tokens(Mergeable):
    """Token F1: how many words (or phones) are a unit from edge to edge; and type F1, of the lexicon.

    A token is a run of equal labels, a segment a run of equal units that holds a labelled frame. A segment hits
    when both its edges lie within ``tolerance`` of those of one token (vqwordseg; of each token one segment at
    most). "value" is F1 of "precision" = hits / segments and "recall" = hits / tokens.

    A type is how a segment or token is spelt in labels: "type_precision" is the share of the segments' spellings
    that are those of some token, "type_recall" the share of the tokens' that are found, wherever they occur
    (Ludusan et al. 2014, the Zero Resource Challenge). "hits", "segments", "tokens", "segment_types" and
    "token_types" are the counts. What lies outside the first and the last labelled frame is cut off; two equal
    words in a row are one.

    Args:
        target: Name of the target, one label per frame, whose runs are the tokens: words, or phones.
        spelling: Name of the target, one label per frame, that spells the types: the phones of words. null takes
            ``target`` itself.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        tolerance: Largest distance of an edge, in seconds, or in columns for images; cut to whole frames.
        edge: Of a label at an edge so much must lie inside a segment to be part of its spelling, or more than half
            of it; in seconds, or in columns for images.
    """

    taken: ClassVar[tuple[str, ...]] = ("_hits", "_segments", "_tokens", "_found", "_known")

    def __init__(
        self,
        *,
        target: str,
        spelling: str | None = None,
        book: Annotated[int, Ge(0)] | None = None,
        tolerance: Annotated[float, Ge(0)] = 0.02,
        edge: Annotated[float, Ge(0)] = 0.03,
    ) -> None:
        self._target, self._spelling, self._book = target, spelling or target, book
        self._tolerance, self._edge = tolerance, edge
        self._hits = self._segments = self._tokens = 0
        self._found: set[Type] = set()
        self._known: set[Type] = set()

    def update(self, item: Evaluated) -> None:
        """Compare one utterance."""
        labels, letters = frame_target(item, self._target), frame_target(item, self._spelling)
        units = np.repeat(codes(item, self._book), item.stride, axis=0)[: item.num_frames]
        tokens, segments = labelled_runs(labels), _segments(units, labels)
        tolerance = int(self._tolerance * item.frame_rate + 1e-6)
        self._hits += hits(tokens, segments, tolerance)
        self._segments += len(segments.starts)
        self._tokens += len(tokens.starts)
        spelt = labelled_runs(letters)
        self._found |= _types(segments, spelt, self._edge * item.frame_rate)
        self._known |= _types(tokens, spelt, self._edge * item.frame_rate)

    def compute(self) -> dict[str, float]:
        """Return both scores. Raises `DataError` when no frame had a label."""
        if not self._tokens:
            raise DataError(
                f"no labelled frame of target '{self._target}' in the split; score one that has labels"
            )
        right = len(self._found & self._known)
        return {
            "value": 2 * self._hits / (self._segments + self._tokens),
            "precision": self._hits / self._segments,
            "recall": self._hits / self._tokens,
            "type_f1": 2 * right / max(len(self._found) + len(self._known), 1),
            "type_precision": right / max(len(self._found), 1),
            "type_recall": right / max(len(self._known), 1),
            "hits": float(self._hits),
            "segments": float(self._segments),
            "tokens": float(self._tokens),
            "segment_types": float(len(self._found)),
            "token_types": float(len(self._known)),
        }


def hits(tokens: Runs, segments: Runs, tolerance: int) -> int:
    """Return how many segments lie on a token of their own, both edges within ``tolerance`` frames.

    In order, each segment takes the first free token. No more can be had: neither tokens nor segments overlap, so a
    later segment's tokens begin and end no earlier.
    """
    found = first = 0
    pairs = list(zip(tokens.starts.tolist(), tokens.stops.tolist(), strict=True))
    for start, stop in zip(segments.starts.tolist(), segments.stops.tolist(), strict=True):
        while first < len(pairs) and (
            pairs[first][0] < start - tolerance or pairs[first][1] < stop - tolerance
        ):
            first += 1
        if (
            first < len(pairs)
            and pairs[first][0] <= start + tolerance
            and pairs[first][1] <= stop + tolerance
        ):
            first += 1
            found += 1
    return found


def _segments(units: np.ndarray, labels: np.ndarray) -> Runs:
    """Return the runs of ``units`` (T, Q) between the first and last label that hold a labelled frame."""
    labelled = np.flatnonzero(labels >= 0)
    if not len(labelled):
        return runs_of(units[:0])
    start, stop = labelled[0], labelled[-1] + 1
    runs = runs_of(units[start:stop])
    runs = Runs(runs.symbols, runs.starts + start, runs.stops + start)
    heard = np.searchsorted(labelled, runs.stops) > np.searchsorted(labelled, runs.starts)
    return runs.keep(heard)


def _types(fragments: Runs, spelt: Runs, edge: float) -> set[Type]:
    first, stop = within(fragments.starts, fragments.stops, spelt, edge)
    letters = spelt.symbols[:, 0].tolist()
    found = {tuple(letters[a:b]) for a, b in zip(first.tolist(), stop.tolist(), strict=True)}
    return found - {()}
