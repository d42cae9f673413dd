"""What a unit file lost, seen by reading it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unitdisc.exporter import UNKNOWN
from unitdisc.repeats import without_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.units import Units

_EXACT = 1e-9
"""Times closer than this, in seconds, are the same but for float arithmetic."""
_PRINTED = 2e-6
"""Times closer than this are the same but for the 6 decimals of a text file."""


def lost(before: Sequence[Units], after: Sequence[Units]) -> list[str]:
    """Return in words what ``before`` had and ``after`` lacks; [] when they are the same."""
    there = {item.key: item for item in after}
    kept = [item for item in before if item.key in there]
    pairs = [(item, there[item.key]) for item in kept]
    found = _ids(before, kept)
    if [item.key for item in kept] != list(there):
        found.append("the order of ids")
    same = [_same(old.codes, new.codes) for old, new in pairs]
    if not all(same):
        return [*found, _codes([pair for pair, is_same in zip(pairs, same, strict=True) if not is_same])]
    return [*found, *_times(pairs)]


def _ids(before: Sequence[Units], kept: Sequence[Units]) -> list[str]:
    gone = len(before) - len(kept)
    if gone == 0:
        return []
    kept_keys = {item.key for item in kept}
    are_empty = all(len(item.codes) == 0 for item in before if item.key not in kept_keys)
    return [f"{gone:,} of {len(before):,} ids{', which have no units' if are_empty else ''}"]


def _same(old: np.ndarray, new: np.ndarray) -> bool:
    return np.array_equal(old, new) or len(old) == len(new) == 0


def _codes(pairs: Sequence[tuple[Units, Units]]) -> str:
    if all(np.array_equal(without_repeats(old.codes), new.codes) for old, new in pairs):
        return "durations (how often a unit is repeated)"
    return f"units of {len(pairs):,} ids"


def _times(pairs: Sequence[tuple[Units, Units]]) -> list[str]:
    if not pairs or pairs[0][0].unit_of_time == UNKNOWN:
        return []
    item = pairs[0][0]
    if pairs[0][1].unit_of_time == UNKNOWN:
        return [f"times (a unit lasts {item.step:.6g} {item.unit_of_time}s, says units.meta.json)"]
    found = []
    if pairs[0][1].unit_of_time != item.unit_of_time:
        found.append(f"that times are in {item.unit_of_time}s (units.meta.json says so)")
    if any(abs(old.end - new.end) > _PRINTED for old, new in pairs):
        found.append("where a recording ends, if that is not where its last unit does")
    moved = max(_moved(old, new) for old, new in pairs)
    if moved > _EXACT:
        found.append(f"decimals of times (up to {moved:.1g} {item.unit_of_time}s)")
    return found


def _moved(old: Units, new: Units) -> float:
    """Return how far the edges of units moved."""
    last = min(old.end, old.start + len(old.codes) * old.step) - min(
        new.end, new.start + len(new.codes) * new.step
    )
    return max(abs(old.start - new.start), abs(last)) if len(old.codes) else 0.0
