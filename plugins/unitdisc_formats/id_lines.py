"""Formats with a line per utterance: its id and its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import write_lines
from unitdisc.unit_lines import repeated
from unitdisc_formats.limits import refuse_ids, refuse_several
from unitdisc_formats.lines import column, lines, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units


class IdLines(Format):
    """Lines of an id, a separator and the codes of one codebook.

    Args:
        deduplicate: Merge equal neighbours into one unit. How many they were stands in a file of the same form
            with ``.durations`` at the end of its name, so nothing is lost; other tools do not look for it.
    """

    name: ClassVar[str]
    refused: ClassVar[tuple[str, str]]
    """Pattern in ids that a line cannot hold, and its name."""
    between: ClassVar[str]
    """What stands between id and codes."""
    joint: ClassVar[str] = " "
    """What stands between codes."""

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file, or two with durations."""
        del num_codes  # readers are told K by the sidecar
        refuse_several(units, name=self.name)
        pattern, reason = self.refused
        refuse_ids(units, pattern=pattern, name=self.name, reason=reason)
        path = folder / self.place(split)
        write_lines(path, map(self._codes, units))
        if not self._deduplicate:
            return [path]
        write_lines(_durations(path), map(self._counts, units))
        return [path, _durations(path)]

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each line, with the durations beside where they are there."""
        beside = _durations(path)
        counts = self._lines(beside, numbers) if beside.is_file() else None
        for where, key, codes in self._lines(path, self.parsed):
            spelt = codes
            if counts is not None:
                at, other, found = next(counts, (str(beside), "", []))
                if other != key:
                    raise DataError(f"{at}: durations of {other!r}, where {where} has {key!r}; export anew")
                spelt = repeated(codes, found, at)
            yield where, told.units(key, column(spelt))
        if counts is not None and (more := next(counts, None)):
            raise DataError(
                f"{more[0]}: durations of {more[1]!r}, of which {path.name} has no units; export anew"
            )

    def parsed(self, text: str, where: str) -> list[int]:
        """Return the codes of a line."""
        return numbers(text, where)

    def printed(self, codes: list[int]) -> str:
        """Return the codes of a line as text."""
        return self.joint.join(map(str, codes))

    def _lines(
        self, path: Path, parse: Callable[[str, str], list[int]]
    ) -> Iterator[tuple[str, str, list[int]]]:
        for where, line in lines(path):
            key, between, text = line.partition(self.between)
            if not key or (not between and self.between != " "):
                form = f"id{self.between}codes".replace("\t", " TAB ")
                raise DataError(f"{where}: expected '{form}', found {line[:60]!r}")
            yield where, key, parse(text, where)

    def _codes(self, item: Units) -> str:
        codes = without_repeats(item.codes) if self._deduplicate else item.codes
        return self._line(item.key, self.printed(codes[:, 0].tolist()))

    def _counts(self, item: Units) -> str:
        return self._line(item.key, " ".join(map(str, durations(item.codes).tolist())))

    def _line(self, key: str, text: str) -> str:
        between = self.between if text or self.between != " " else ""
        return f"{key}{between}{text}\n"


def _durations(path: Path) -> Path:
    return path.with_name(f"{path.name}.durations")
