"""The name that a misspelt one was meant to be."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_SIMILAR = 0.6
"""Least difflib ratio of a suggestion that is more than one edit away."""


def nearest(name: str, names: Iterable[str], *, taken: Collection[str] = ()) -> str | None:
    """Return the one of ``names`` that ``name`` most likely stands for, or None when nothing is like it.

    Args:
        name: What was written.
        names: What could have been written.
        taken: Names that stand beside it already, and so are less likely meant.
    """
    ranked = sorted((_rank(name, other, taken), other) for other in names)
    if not ranked:
        return None
    (edits, _, unlike), best = ranked[0]
    return best if edits <= 1 or 1 - unlike >= _SIMILAR else None


def hint(name: str, names: Iterable[str], *, taken: Collection[str] = ()) -> str:
    """Return ``; did you mean 'x'?`` to be put behind a message, or nothing."""
    best = nearest(name, names, taken=taken)
    return f"; did you mean {best!r}?" if best is not None else ""


def _rank(name: str, other: str, taken: Collection[str]) -> tuple[int, bool, float]:
    plain, plain_other = _plain(name), _plain(other)
    edits = 0 if plain == plain_other else 1 if is_one_edit(plain, plain_other) else 2
    return edits, other in taken, 1 - SequenceMatcher(None, plain, plain_other).ratio()


def _plain(name: str) -> str:
    return name[:200].casefold().replace("-", "_")


def is_one_edit(first: str, second: str) -> bool:
    """Tell whether one letter put in, left out, replaced or swapped makes one of the other."""
    if first == second:
        return False
    short, long = sorted((first, second), key=len)
    start = 0
    while start < len(short) and short[start] == long[start]:
        start += 1
    rest, rest_long = short[start:], long[start:]
    if len(short) < len(long):
        return rest == rest_long[1:]
    is_swap = rest[:2] == rest_long[1::-1] and rest[2:] == rest_long[2:]
    return rest[1:] == rest_long[1:] or (len(rest) > 1 and is_swap)
