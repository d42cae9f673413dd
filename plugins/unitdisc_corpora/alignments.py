"""Alignments of a folder of recordings: a TextGrid per recording (MFA's output), or one CTM per table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc import ctm, textgrid
from unitdisc.errors import DataError
from unitdisc.reader import Timed
from unitdisc_corpora.symbols import plain

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_TABLES = {
    "phones": ("phones", "phone", "phn", "phonemes", "phoneme"),
    "words": ("words", "word", "wrd"),
}
"""Label table: names that a tier may have."""


class Alignments:
    """Finds the labels of a recording.

    Args:
        folder: Holds ``phones.ctm`` and ``words.ctm``, or TextGrids in the same subfolders as the recordings.
        keys: All ids, which a CTM may not go beyond.
        is_plain: Whether phones lose word position, stress and capitals.
        empty: What an interval without text stands for among the phones; nothing leaves it out.
    """

    def __init__(self, folder: Path, keys: Collection[str], *, is_plain: bool, empty: str) -> None:
        self.folder, self.empty = folder, empty
        self._phone = plain if is_plain else str
        self._grids = {
            str(path.relative_to(folder).with_suffix("")): path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() == ".textgrid"
        }
        self._ctm = {
            name: ctm.read(path, symbol=self._phone if name == "phones" else str, known=keys)
            for name in _TABLES
            if (path := folder / f"{name}.ctm").is_file()
        }

    def __bool__(self) -> bool:
        return bool(self._grids or self._ctm)

    def tables(self, key: str, place: str) -> dict[str, list[Timed]] | None:
        """Return the labels of a recording by table, or None where it has none, of phones where others have them.

        Args:
            key: Its id, by which a CTM knows it.
            place: Its path in the corpus without suffix, by which a TextGrid is found.
        """
        if self._ctm:
            tables = {name: labels[key] for name, labels in self._ctm.items() if key in labels}
            return tables if next(iter(self._ctm)) in tables else None
        return self._from_grid(self._grids[place]) if place in self._grids else None

    def _from_grid(self, path: Path) -> dict[str, list[Timed]]:
        tiers = textgrid.read(path)
        found: dict[str, list[Timed]] = {}
        for tier, intervals in tiers.items():
            # MFA puts the speaker before: "speaker - phones".
            name = tier.rpartition(" - ")[2].strip().lower()
            table = next((table for table, names in _TABLES.items() if name in names), None)
            if table in found:
                raise DataError(f"{path}: has several tiers of {table}; give one speaker per recording")
            if table is not None:
                found[table] = self._labels(intervals, table)
        if not found:
            raise DataError(
                f"{path}: has the tiers {', '.join(map(repr, tiers)) or '(none)'}; name the one of the phones "
                "'phones' and the one of the words 'words'"
            )
        return found

    def _labels(self, intervals: list[Timed], table: str) -> list[Timed]:
        empty = self.empty if table == "phones" else ""
        form = self._phone if table == "phones" else str
        named = (Timed(item.start, item.end, form(item.symbol) or empty) for item in intervals)
        return [label for label in named if label.symbol]
