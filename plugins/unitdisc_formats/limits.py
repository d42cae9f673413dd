"""What a format cannot hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.units import Units

FILE_NAME = r"(^|/)\.{0,2}(?=/|$)|\0"
"""In ids that cannot be paths of files in a folder."""
NO_FILE_NAME = "begin or end with '/', hold '//', '.' or '..' between slashes,"


def num_codebooks(units: Sequence[Units]) -> int:
    """Return Q, 1 for an empty split. Raises `RecipeError` when nothing is quantised."""
    count = units[0].codes.shape[1] if units else 1
    if count == 0:
        raise RecipeError(
            f"{units[0].key}: the bottleneck quantises nothing, so there are no units to export; "
            "choose one with codes, for example ema"
        )
    return count


def refuse_several(units: Sequence[Units], *, name: str) -> None:
    """Raise `RecipeError` when there is not one codebook."""
    count = num_codebooks(units)
    if count > 1:
        raise RecipeError(
            f"{name} holds the codes of one codebook, found {count}; choose one, such as --book 0, "
            "or a format that holds all, such as jsonl"
        )


def refuse_ids(units: Sequence[Units], *, pattern: str, name: str, reason: str) -> None:
    """Raise `RecipeError` for the first id that is empty, not UTF-8, or in which ``pattern`` is found."""
    wrong = re.compile(f"{pattern}|^$|[\ud800-\udfff]")
    for item in units:
        if wrong.search(item.key):
            raise RecipeError(
                f"id {item.key!r} does not fit into a {name} file: it must not be empty, hold {reason} or a "
                "character that is not UTF-8; rename it in the manifest or export as jsonl"
            )
