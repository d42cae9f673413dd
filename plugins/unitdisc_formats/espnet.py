"""Units as characters, as ESPnet's recipes for discrete speech read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError, RecipeError
from unitdisc.storage import write_lines
from unitdisc_formats.id_lines import IdLines
from unitdisc_formats.lines import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.exporter import Told
    from unitdisc.units import Units

_FIRST = 0x4E00
_COUNT = 0x9FFF - _FIRST + 1
_MAPPING = "distinct_cjk_token_lists"


class ESPnet(IdLines):
    """Lines ``id CHARACTERS``, ``text.ts.SPLIT``, a CJK character per unit: the form of ESPnet's ``asr2.sh``.

    Code 0 is U+4E00, 1 is U+4E01 and so on up to 20,991, as there; ``distinct_cjk_token_lists`` has a line
    ``code character`` for each and is read back where it stands beside. Holds one codebook and no times.

    Args:
        deduplicate: Merge equal neighbours into one unit: ``text.rm.SPLIT``, ESPnet's variant "rm". How many they
            were stands in ``text.rm.SPLIT.durations``, so nothing is lost.
    """

    name = "espnet"
    refused = (r"\s", "white space")
    between = " "

    def __init__(self, *, deduplicate: bool = False) -> None:
        super().__init__(deduplicate=deduplicate)
        self._codes_of: dict[str, int] = {}

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"text.{'rm' if self._deduplicate else 'ts'}.{split}"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write the file and the mapping."""
        if num_codes > _COUNT:
            raise RecipeError(f"espnet holds up to {_COUNT:,} codes, a character each; found {num_codes:,}")
        paths = super().write(units, split=split, num_codes=num_codes, folder=folder)
        mapping = folder / _MAPPING
        write_lines(mapping, (f"{code} {chr(_FIRST + code)}\n" for code in range(num_codes)))
        return [*paths, mapping]

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each line, by the mapping beside where it is there."""
        mapping = path.with_name(_MAPPING)
        if mapping.is_file():
            self._codes_of = _read_mapping(mapping)
        else:
            self._codes_of = {chr(_FIRST + code): code for code in range(_COUNT)}
        yield from super().read(path, told)

    def printed(self, codes: list[int]) -> str:
        """Return the characters."""
        return "".join(chr(_FIRST + code) for code in codes)

    def parsed(self, text: str, where: str) -> list[int]:
        """Return the codes of the characters."""
        codes = [self._codes_of.get(character, -1) for character in text]
        if -1 in codes:
            unknown = text[codes.index(-1)]
            raise DataError(
                f"{where}: {unknown!r} is the character of no code; put its {_MAPPING} beside the file"
            )
        return codes


def _read_mapping(path: Path) -> dict[str, int]:
    found = {}
    for where, line in lines(path):
        code, _, character = line.partition(" ")
        if not (code.isascii() and code.isdigit() and len(character) == 1):
            raise DataError(f"{where}: expected 'code character', found {line[:60]!r}")
        found[character] = int(code)
    return found
