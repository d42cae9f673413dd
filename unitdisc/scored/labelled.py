"""What units are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from unitdisc.scored.spans import Table

_FIRST = ("phones", "characters")
"""Tables that are the target where nothing else is said."""


@dataclass
class Labels:
    """Labels of a corpus, with what else is known of it.

    Args:
        form: What kind of file they are from, in words.
        unit_of_time: Of the labels' times.
        tables: Labels by name, such as "phones" and "words".
        fields: By id, what the corpus says of it in single values: its speaker or writer among them.
        lengths: By id, how long the recording or line is, where that is known.
        splits: By id, the name of its split, where there are splits.
        item_file: An item file of ABX, whose tokens are not labels of frames.
    """

    form: str
    unit_of_time: Literal["second", "column"] = "second"
    tables: dict[str, Table] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    lengths: dict[str, Fraction] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    item_file: Path | None = None

    def keys(self) -> dict[str, None]:
        """Return every id, in order."""
        known = dict.fromkeys(self.fields) | dict.fromkeys(self.lengths)
        for table in self.tables.values():
            known |= dict.fromkeys(table.spans)
        return known

    def end(self, key: str) -> Fraction | None:
        """Return where the last label of an id ends, or None where it has none."""
        ends = [table.spans[key].end for table in self.tables.values() if key in table.spans]
        return max(ends, default=None)

    def main(self, name: str | None) -> str | None:
        """Return the table to score: ``name``, else the phones or characters, else the first; None of none.

        Raises `DataError` when there is no such table.
        """
        if name is None:
            return next((first for first in _FIRST if first in self.tables), next(iter(self.tables), None))
        if name not in self.tables:
            found = ", ".join(self.tables) or f"none, {self.form} has no labels of frames"
            raise DataError(f"--target {name}: no such labels (accepted: {found})")
        return name
