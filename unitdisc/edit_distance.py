"""Edit distance between two sequences of symbols, for error rates."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


Symbols = Sequence[Hashable] | np.ndarray


def edit_distance(a: Symbols, b: Symbols) -> int:
    """Return the fewest substitutions, deletions and insertions that turn ``a`` into ``b`` (Levenshtein).

    Symbols are the same when ``==`` says so. Raises TypeError for tensors: their elements compare by address.
    """
    numbers: dict[Hashable, int] = {}
    return _distance(_numbered(a, numbers), _numbered(b, numbers))


def bit_parallel(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the edit distance, a column of the table in one integer operation (Myers 1999, Hyyrö 2003).

    Bit i of ``up`` (``down``), integers of ``len(a)`` bits, says that the table's value rises (falls) by one
    from row i to row i + 1 of the current column.
    """
    if not a:
        return len(b)
    where: dict[int, int] = {}
    for row, symbol in enumerate(a):
        where[symbol] = where.get(symbol, 0) | 1 << row
    full, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    up, down, distance = full, 0, len(a)
    for symbol in b:
        match = where.get(symbol, 0)
        diagonal = ((((match & up) + up) ^ up) | match | down) & full
        right_up = down | (full & ~(diagonal | up))
        right_down = diagonal & up
        distance += bool(right_up & last) - bool(right_down & last)
        right_up = (right_up << 1 | 1) & full
        right_down = (right_down << 1) & full
        up = right_down | (full & ~(diagonal | right_up))
        down = right_up & diagonal
    return distance


_distance: Callable[[list[int], list[int]], int]
try:
    _distance = import_module("editdistance").distance
except ImportError:  # it has no wheel from Python 3.13 on
    _distance = bit_parallel


def _numbered(symbols: Symbols, numbers: dict[Hashable, int]) -> list[int]:
    # editdistance compares hashes, and hash(-1) == hash(-2): only natural numbers are safe to hand over.
    items: Sequence[Any] = symbols.tolist() if isinstance(symbols, np.ndarray) else symbols
    if _is_tensor(type(symbols)) or any(map(_is_tensor, set(map(type, items)))):
        raise TypeError(
            "edit_distance: got a torch tensor, whose elements compare by address; pass tensor.tolist()"
        )
    return [numbers.setdefault(symbol, len(numbers)) for symbol in items]


def _is_tensor(kind: type) -> bool:
    return any((base.__module__, base.__qualname__) == ("torch", "Tensor") for base in kind.__mro__)
