"""Slow versions of the metrics: frames one by one, dictionaries of counts, no arrays."""

from __future__ import annotations

from collections import Counter
from functools import cache
from math import log2
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.metric import Evaluated, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Unit = tuple[int, ...]
Pair = tuple[Unit, int]


def utterance(
    codes: Sequence[Sequence[int]] | Sequence[int],
    labels: Sequence[int] = (),
    *,
    num_codes: int = 8,
    stride: int = 1,
    predictions: dict[str, Sequence[int]] | None = None,
    key: str = "u",
) -> Evaluated:
    """Return an utterance whose target "phones" is ``labels``; plain ``codes`` are those of one codebook."""
    array = np.array(codes, np.int64)
    return Evaluated(
        key=key,
        codes=array.reshape(len(array), -1) if array.size else array.reshape(0, 1),
        num_codes=num_codes,
        num_frames=len(labels),
        stride=stride,
        targets={"phones": np.array(labels, np.int64)},
        predictions={name: np.array(symbols, np.int64) for name, symbols in (predictions or {}).items()},
    )


def random_split(seed: int, *, num_codebooks: int = 1, stride: int = 3) -> list[Evaluated]:
    """Return 20 utterances of 0 to 40 frames: units lean on 5 phones, a tenth is unlabelled."""
    return list(_random_split(seed, num_codebooks, stride))


@cache
def _random_split(seed: int, num_codebooks: int, stride: int) -> list[Evaluated]:
    draw = np.random.default_rng(seed)
    split = []
    for number in range(20):
        num_frames = int(draw.integers(0, 41))
        phones = np.repeat(draw.integers(0, 5, 41), draw.integers(1, 9, 41))[:num_frames]
        codes = draw.integers(0, 3, (-(-num_frames // stride), num_codebooks)) + phones[::stride, None]
        labels = np.where(draw.random(num_frames) < 0.1, -1, phones)
        split.append(
            Evaluated(
                f"u{number}",
                codes.astype(np.int64),
                8,
                num_frames,
                stride,
                {"phones": labels.astype(np.int64)},
            )
        )
    return split


def score(metric: Metric, split: Iterable[Evaluated]) -> dict[str, float]:
    """Return what ``metric`` says of the whole split."""
    for item in split:
        metric.update(item)
    return metric.compute()


def labelled_frames(split: Iterable[Evaluated]) -> list[Pair]:
    """Return (unit, label) of every labelled frame: frame t carries unit t // stride."""
    return [
        (tuple(item.codes[t // item.stride].tolist()), int(item.targets["phones"][t]))
        for item in split
        for t in range(item.num_frames)
        if item.targets["phones"][t] != -1
    ]


def entropy(symbols: Iterable[object]) -> float:
    """Return the entropy in bits of the symbols' frequencies."""
    counts = Counter(symbols)
    return -sum(c / counts.total() * log2(c / counts.total()) for c in counts.values())


def mutual_information(pairs: list[Pair]) -> float:
    """Return I in bits by its definition, sum p(x, y) log2 p(x, y) / (p(x) p(y))."""
    joint, units, labels = Counter(pairs), Counter(y for y, _ in pairs), Counter(x for _, x in pairs)
    n = len(pairs)
    return sum(c / n * log2(c * n / (units[y] * labels[x])) for (y, x), c in joint.items())


def purity(pairs: list[Pair]) -> float:
    """Return the accuracy of giving each unit its most frequent label, frame by frame."""
    best = {unit: Counter(x for y, x in pairs if y == unit).most_common(1)[0][0] for unit, _ in pairs}
    return sum(best[unit] == label for unit, label in pairs) / len(pairs)


def merged(labels: Sequence[int]) -> list[int]:
    """Return the labels with equal neighbours merged, then without -1."""
    kept: list[int] = []
    for t, label in enumerate(labels):
        if label != -1 and (t == 0 or labels[t - 1] != label):
            kept.append(int(label))
    return kept
