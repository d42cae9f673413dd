"""Units that know nothing of their recording, and units that know everything: what scores are held against."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.repeats import without_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.metric import Evaluated


def random_segments(codes: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return units in as many runs as each utterance has, with random edges and random units in them.

    All places of edges are equally likely. The unit of a run is drawn from the runs of all utterances, again until it
    differs from that of the run before, so that every edge is one.
    """
    runs = [without_repeats(sequence) for sequence in codes]
    pooled = np.concatenate(runs)
    if pooled.shape[1] == 1:
        values, numbers = np.arange(pooled.max(initial=-1) + 1)[:, None], pooled[:, 0]
    else:
        values, numbers = np.unique(pooled, axis=0, return_inverse=True)
    return [
        values[_segments(len(sequence), _chain(numbers, len(run), rng), rng)]
        for sequence, run in zip(codes, runs, strict=True)
    ]


def gold(item: Evaluated, target: str, num_labels: int, *, has_gaps: bool) -> Evaluated:
    """Return the utterance with labels as units: of the labels of a unit's frames the most frequent.

    Of equally frequent ones the earliest is taken. Where some utterance ``has_gaps``, unlabelled stretches are a unit
    of their own, ``num_labels``.
    """
    labels = item.targets[target]
    width = len(item.codes) * item.stride
    padded = np.pad(np.where(labels < 0, num_labels, labels), (0, width - len(labels)), constant_values=-1)
    frames = padded.reshape(-1, item.stride)  # (S, stride), -1 behind the end
    counts = (frames[:, :, None] == frames[:, None]).sum(axis=2) * (frames >= 0)
    best = (
        np.take_along_axis(frames, counts.argmax(axis=1)[:, None], axis=1) if len(frames) else frames[:, :1]
    )
    return replace(item, codes=best, num_codes=num_labels + has_gaps)


def _segments(count: int, chain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (S,) int64 for S = ``count``, each of ``chain`` (R,) for a stretch of at least one unit."""
    edges = np.zeros(count, np.int64)
    if count > 1:
        edges[1 + rng.permutation(count - 1)[: len(chain) - 1]] = 1
    return chain[np.cumsum(edges)]


def _chain(numbers: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``count`` of ``numbers`` drawn at random, none equal to the one before."""
    if not count:
        return numbers[:0]
    found = rng.choice(numbers, count)
    while len(same := 1 + np.flatnonzero(found[1:] == found[:-1])):
        found[same] = rng.choice(numbers, len(same))
    return found
