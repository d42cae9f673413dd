"""Units as JSON lines, the form that discophon and fastabx read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import write_lines
from unitdisc.unit_lines import each_units, units_line
from unitdisc_formats.limits import num_codebooks
from unitdisc_formats.lines import codes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units


class JSONL(Format):
    """JSON lines, ``units-SPLIT.jsonl``: a line ``{"file": id, "units": [3, 3, 17]}`` per utterance.

    The form of discophon, which finds its files as ``units-LANGUAGE-SPLIT.jsonl`` (a split named "eng-dev"
    fits), and of fastabx. With several codebooks each unit is a list of its codes; neither of them reads
    that. The length of a unit stands in ``units.meta.json``.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one unit, as in ``"units": [3, 17]``, and
            write beside them how many they were, ``"durations": [2, 1]``. Nothing is lost, but tools that take
            every unit for one step, such as fastabx, need the file without it.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"units-{split}.jsonl"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        path = folder / self.place(split)
        write_lines(path, map(self._line, units))
        return [path]

    def _line(self, item: Units) -> str:
        if self._deduplicate:
            return units_line(item.key, without_repeats(item.codes), durations(item.codes))
        return units_line(item.key, item.codes)

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each line, with their durations where it has them."""
        for where, key, codes in each_units(path):
            yield where, told.units(key, codes_of(codes, where))
