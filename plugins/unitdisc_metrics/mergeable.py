"""Base of metrics that merge: what they have taken in are sums, lists, sets and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from unitdisc.metric import Metric

if TYPE_CHECKING:
    from typing import Self


class Mergeable(Metric):
    """Merges attribute by attribute.

    Attributes:
        taken: Names of the attributes that ``update`` changes: numbers, lists, sets, what has a ``merge`` of its own,
            or dictionaries of these.
    """

    merges: ClassVar[bool] = True
    taken: ClassVar[tuple[str, ...]]

    def merge(self, other: Self, times: int = 1) -> None:
        """Take in what ``other`` has taken in, ``times`` over."""
        for name in self.taken if times else ():
            setattr(self, name, _merged(getattr(self, name), getattr(other, name), times))


def _merged(mine: Any, theirs: Any, times: int) -> Any:
    if isinstance(theirs, dict):
        fresh = {name: type(found)() for name, found in theirs.items() if name not in mine}
        known = mine | fresh
        return known | {name: _merged(known[name], found, times) for name, found in theirs.items()}
    if isinstance(theirs, set):
        return mine | theirs
    if hasattr(theirs, "merge"):
        mine.merge(theirs, times)
        return mine
    return mine + times * theirs
