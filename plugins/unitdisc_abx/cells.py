"""Which tokens are compared with which: cells of A, B and X, gathered where X or A and B are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from unitdisc_abx.tokens import Token

_Lists = dict[int, dict[int, dict[int, list[int]]]]
"""Tokens by context, speaker and label."""


@dataclass(frozen=True)
class Group:
    """All cells whose A and B are of one context and one speaker.

    Args:
        speaker: Number of the speaker of A and B.
        columns: (M,) int64, the tokens that can be A or B, those of a label side by side.
        labels: (L,) int64, the labels among them.
        starts: (L,) int64, the first column of each.
        queries: The X: place of their label among ``labels``, and tokens (N,) int64.
        is_within: Whether X are the A themselves.
    """

    speaker: int
    columns: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    queries: list[tuple[int, np.ndarray]]
    is_within: bool


@dataclass(frozen=True)
class Limits:
    """How much is sampled.

    Args:
        group: Most tokens of one label, context and speaker; None takes all.
        across: Most speakers of X for one A and B; None takes all.
        seed: Of the draws.
    """

    group: int | None
    across: int | None
    seed: int


def groups(
    tokens: Sequence[Token],
    *,
    speaker: Literal["within", "across"],
    context: Literal["within", "any"],
    limits: Limits,
) -> Iterator[Group]:
    """Yield the groups of tokens that stand in an order of their own; the draws depend on it and the seed alone."""
    draw = np.random.Generator(np.random.PCG64(limits.seed))
    by_context = _lists(tokens, context)
    if limits.group is not None:
        _thin_out(by_context, limits.group, draw)
    for by_speaker in by_context.values():
        for who, by_label in by_speaker.items():
            if len(by_label) > 1:
                chosen = (
                    _own(by_label) if speaker == "within" else _others(by_speaker, who, limits.across, draw)
                )
                yield Group(
                    who,
                    np.array([token for found in by_label.values() for token in found]),
                    np.array(list(by_label)),
                    np.cumsum([0, *(len(found) for found in by_label.values())])[:-1],
                    chosen,
                    speaker == "within",
                )


def _lists(tokens: Sequence[Token], context: Literal["within", "any"]) -> _Lists:
    """Return the tokens by context, speaker and label, all in ascending order."""
    contexts = _numbers([token.context if context == "within" else () for token in tokens])
    speakers = _numbers([token.speaker for token in tokens])
    labels = _numbers([token.label for token in tokens])
    found: _Lists = {}
    keys = list(zip(contexts, speakers, labels, strict=True))
    for place in sorted(range(len(keys)), key=keys.__getitem__):
        where, who, label = keys[place]
        found.setdefault(where, {}).setdefault(who, {}).setdefault(label, []).append(place)
    return found


def _numbers(values: Sequence[Hashable]) -> list[int]:
    """Return the place of each value among the different ones in ascending order."""
    places = {value: place for place, value in enumerate(sorted(set(values)))}  # type: ignore[type-var]
    return [places[value] for value in values]


def _thin_out(lists: _Lists, most: int, draw: np.random.Generator) -> None:
    """Keep ``most`` tokens of each list."""
    for by_speaker in lists.values():
        for by_label in by_speaker.values():
            for label, found in by_label.items():
                if len(found) > most:
                    by_label[label] = np.sort(draw.choice(found, most, replace=False)).tolist()


def _own(by_label: dict[int, list[int]]) -> list[tuple[int, np.ndarray]]:
    """Return the X within a speaker: every label of which there is another token to be A."""
    return [(place, np.array(found)) for place, found in enumerate(by_label.values()) if len(found) > 1]


def _others(
    by_speaker: dict[int, dict[int, list[int]]], who: int, most: int | None, draw: np.random.Generator
) -> list[tuple[int, np.ndarray]]:
    """Return the X across speakers: every label from ``most`` of the other speakers who have it."""
    chosen = []
    for place, label in enumerate(by_speaker[who]):
        others = [found[label] for other, found in by_speaker.items() if other != who and label in found]
        if most is not None and len(others) > most:
            others = [others[index] for index in np.sort(draw.choice(len(others), most, replace=False))]
        chosen += [(place, np.array(found)) for found in others]
    return chosen
