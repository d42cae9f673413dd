"""Units as one-hot vectors, as the scorers of ZeroSpeech 2019 and 2020 read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import without_repeats
from unitdisc_formats.files import found_files, write_files
from unitdisc_formats.limits import FILE_NAME, NO_FILE_NAME, num_codebooks, refuse_ids
from unitdisc_formats.lines import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units

_NUMBER = re.compile(r"[01](\.0*)?", flags=re.ASCII)


class ZS2019(Format):
    """A file per utterance, ``zs2019-SPLIT/ID.txt``, with a one-hot vector of K numbers per line and unit.

    The form of the ZeroSpeech 2019 and 2020 scorers (bitrate, and ABX, whose KL divergence needs one-hot vectors
    rather than numbers; they want two units or more in a file). With several codebooks the vectors of all stand
    beside one another in a line: Q * K numbers. Knows no times and no order of files.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one line. How many they were is lost.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the folder's name."""
        return f"zs2019-{split}"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write a folder of files."""
        count = num_codebooks(units)
        refuse_ids(units, pattern=FILE_NAME, name="zs2019", reason=NO_FILE_NAME)
        offsets = num_codes * np.arange(count)

        def rows(item: Units) -> Iterator[str]:
            codes = without_repeats(item.codes) if self._deduplicate else item.codes
            for ones in (codes + offsets).tolist():
                row = ["0"] * (num_codes * count)
                for place in ones:
                    row[place] = "1"
                yield " ".join(row) + "\n"

        return write_files(folder / self.place(split), units, ".txt", rows)

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each file."""
        width = 0
        for key, file in found_files(path, ".txt"):
            ones: list[list[int]] = []
            for where, line in lines(file):
                ones.append(_ones(line, where))
                size = len(line.split())
                width = width or size
                if size != width:
                    raise DataError(f"{where}: {size} numbers, where vectors before have {width}")
                if len(ones[-1]) != len(ones[0]) or width % len(ones[0]):
                    raise DataError(
                        f"{where}: expected a 1 per codebook, found {len(ones[-1])} in {width} numbers"
                    )
            yield f"{file}:1", told.units(key, _codes(ones, width, f"{file}"))


def _ones(line: str, where: str) -> list[int]:
    """Return where the ones of a vector stand."""
    numbers = line.split()
    kinds = set(numbers)
    if not kinds or not all(map(_NUMBER.fullmatch, kinds)):
        raise DataError(f"{where}: expected a vector of zeros and ones, found {line[:60]!r}")
    found = []
    for one in (kind for kind in kinds if kind[0] == "1"):
        place = -1
        for _ in range(numbers.count(one)):
            place = numbers.index(one, place + 1)
            found.append(place)
    if not found:
        raise DataError(f"{where}: a vector without a 1 is no unit")
    return sorted(found)


def _codes(ones: list[list[int]], width: int, where: str) -> np.ndarray:
    if not ones:
        return np.zeros((0, 1), np.int64)
    codes = np.array(ones, np.int64)
    num_codes = width // codes.shape[1]
    codes -= num_codes * np.arange(codes.shape[1])
    if codes.min() < 0 or codes.max() >= num_codes:
        raise DataError(
            f"{where}: expected a 1 in each {num_codes} numbers of a line, found two in one of them"
        )
    return codes
