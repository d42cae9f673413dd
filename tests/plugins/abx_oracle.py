"""A slow ABX: triplets in loops, warping by recursion in float64, one token at a time."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unitdisc.metric import Evaluated

Sound = dict[str, Any]
"""A token: label, context, speaker, frames."""


def abx_error(sounds: Sequence[Sound], frame_distance: Callable[[Any, Any], float], *, across: bool) -> float:
    """Return the error as a share, the mean over cells of one (A, B, speaker), then speakers, then (A, B)."""

    @cache
    def distance(x: int, y: int) -> Fraction:
        return warp([[frame_distance(p, q) for q in sounds[y]["frames"]] for p in sounds[x]["frames"]])

    tokens: dict[tuple[str, Any, str], list[int]] = {}
    for index, sound in enumerate(sounds):
        tokens.setdefault((sound["label"], sound["context"], sound["speaker"]), []).append(index)
    cells: dict[tuple[str, str], dict[str, list[float]]] = {}
    for (a_label, context, speaker), a_tokens in tokens.items():
        for (b_label, *same), b_tokens in tokens.items():
            if same != [context, speaker] or b_label == a_label:
                continue
            for (x_label, x_context, other), x_tokens in tokens.items():
                if (x_label, x_context) != (a_label, context) or (other != speaker) != across:
                    continue
                scores = [
                    1.0 if distance(x, a) > distance(x, b) else 0.5 * (distance(x, a) == distance(x, b))
                    for x in x_tokens
                    for a in a_tokens
                    for b in b_tokens
                    if a != x
                ]
                if scores:
                    of_pair = cells.setdefault((a_label, b_label), {})
                    of_pair.setdefault(speaker, []).append(_mean(scores))
    return _mean([_mean([_mean(errors) for errors in of_pair.values()]) for of_pair in cells.values()])


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def warp(costs: Sequence[Sequence[float]]) -> Fraction:
    """Return the cost of the best path over its length, found by walking back from the end; sums are exact."""
    whole = [[round(cost * 2**60) for cost in row] for row in costs]

    @cache
    def best(i: int, j: int) -> float:
        if i < 0 or j < 0:
            return math.inf
        before = min(best(i - 1, j - 1), best(i, j - 1), best(i - 1, j)) if i or j else 0
        return whole[i][j] + before

    i, j = len(costs) - 1, len(costs[0]) - 1
    total, length = best(i, j), 1
    while i or j:
        steps = [(i - 1, j - 1), (i, j - 1), (i - 1, j)]  # in the order of preference
        i, j = min(steps, key=lambda step: best(*step))
        length += 1
    return Fraction(int(total), length * 2**60)


def angular(p: np.ndarray, q: np.ndarray) -> float:
    lengths = math.sqrt(math.fsum(p * p)), math.sqrt(math.fsum(q * q))
    if 0 in lengths:
        return float(any(lengths))
    return math.acos(max(-1.0, min(1.0, math.fsum(p * q) / (lengths[0] * lengths[1])))) / math.pi


def angular_diagonal(p: np.ndarray, q: np.ndarray) -> float:
    return angular(*(frame if frame.any() else np.ones_like(frame) for frame in (p, q)))


def euclidean(p: np.ndarray, q: np.ndarray) -> float:
    return math.sqrt(math.fsum((p - q) ** 2))


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return math.fsum(
        0.5 * (a - b) * (math.log(a + 1e-6) - math.log(b + 1e-6)) for a, b in zip(p, q, strict=True)
    )


def identical(p: np.ndarray, q: np.ndarray) -> float:
    return float(p.tolist() != q.tolist())


def sounds(
    split: Sequence[Evaluated],
    frames: Callable[[Evaluated], np.ndarray],
    *,
    stride: int,
    context: str,
    span: str,
    slicing: str,
    field: str,
) -> list[Sound]:
    """Cut the runs of the target "phones" out of utterances, a frame at a time."""
    found = []
    for item in sorted(split, key=lambda one: one.key):
        labels = item.targets["phones"].tolist()
        edges = [t for t in range(len(labels) + 1) if t in (0, len(labels)) or labels[t] != labels[t - 1]]
        runs = [(start, stop, labels[start]) for start, stop in pairwise(edges)]
        for index, (start, stop, label) in enumerate(runs):
            before = runs[index - 1] if index else (0, 0, -1)
            after = runs[index + 1] if index + 1 < len(runs) else (0, 0, -1)
            if label < 0:
                continue
            begin, end = start, stop
            if span == "triple":
                if before[2] < 0 or after[2] < 0:
                    continue
                begin, end = before[0], after[1]
            vectors = frames(item)
            inside = [s for s in range(len(vectors)) if 2 * begin <= (2 * s + 1) * stride <= 2 * end]
            if slicing == "librilight":
                inside = inside[:-1]
            if inside:
                found.append(
                    {
                        "label": str(label),
                        "context": (str(before[2]), str(after[2])) if context == "within" else (),
                        "speaker": item.fields[field],
                        "frames": [vectors[s] for s in inside],
                    }
                )
    return found
