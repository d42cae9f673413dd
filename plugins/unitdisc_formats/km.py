"""Units as fairseq's k-means labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Exporter
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import write_text
from unitdisc.unit_lines import repeated
from unitdisc_formats.limits import num_codebooks, refuse_ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from unitdisc.units import Units


class KM(Exporter):
    """Labels of fairseq's HuBERT, ``SPLIT.km``: a line of space-separated codes per utterance or line.

    fairseq couples the lines to those of a manifest ``SPLIT.tsv`` of audio paths and samples, which units do
    not know: ``SPLIT.keys`` holds the ids in the same order, one per line, to sort such a manifest by.

    ``dict.km.txt`` lists every code as "code 1" in ascending order, as fairseq's own recipe does: it is the
    same for all splits, so a code has one index everywhere, also where a split lacks it. The 1 is no count.

    With several codebooks each has its own label set as fairseq names them, ``SPLIT.km0`` with
    ``dict.km0.txt`` (``task.labels=[km0,km1]``).

    Args:
        deduplicate: Merge equal neighbours (in all codebooks, so that label sets stay aligned) into one unit.
            How many they were stands in ``SPLIT.durations``, a line per line of the labels, so nothing is
            lost. For language models; fairseq's HuBERT needs a label per step.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write labels and dictionary of each codebook, and the ids."""
        refuse_ids(units, pattern=r"[\r\n]", name="km", reason="a line end")
        count = num_codebooks(units)
        dictionary = "".join(f"{code} 1\n" for code in range(num_codes))
        files = {f"{split}.keys": "".join(f"{item.key}\n" for item in units)}
        if self._deduplicate:
            files[f"{split}.durations"] = "".join(_line(durations(item.codes)) for item in units)
        for book in range(count):
            labels = "km" if count == 1 else f"km{book}"
            files[f"{split}.{labels}"] = "".join(_line(self._codes(item)[:, book]) for item in units)
            files[f"dict.{labels}.txt"] = dictionary
        for name, text in files.items():
            write_text(folder / name, text)
        return [folder / name for name in files]

    def _codes(self, item: Units) -> np.ndarray:
        return without_repeats(item.codes) if self._deduplicate else item.codes


def _line(numbers: np.ndarray) -> str:
    return " ".join(map(str, numbers.tolist())) + "\n"


def read(path: Path) -> dict[str, list[int]]:
    """Return the codes by id from ``SPLIT.km`` and ``SPLIT.keys`` beside it, in the order of the files.

    Where ``SPLIT.durations`` is there, each code is repeated as often as it says. Raises `DataError` when the
    files differ in length or a line holds something other than codes.
    """
    keys, codes = _lines(path.with_suffix(".keys")), _numbers(path)
    _refuse_other_length(path, len(codes), len(keys), f"ids in {path.with_suffix('.keys').name}")
    beside = path.with_suffix(".durations")
    if beside.exists():
        counts = _numbers(beside)
        _refuse_other_length(beside, len(counts), len(keys), f"lines in {path.name}")
        codes = [
            repeated(labels, numbers, f"{beside}:{line}")
            for line, (labels, numbers) in enumerate(zip(codes, counts, strict=True), start=1)
        ]
    return dict(zip(keys, codes, strict=True))


def _refuse_other_length(path: Path, found: int, wanted: int, of: str) -> None:
    if found != wanted:
        raise DataError(f"{path}: {found} lines for {wanted} {of}")


def _numbers(path: Path) -> list[list[int]]:
    found = []
    for number, line in enumerate(_lines(path), start=1):
        if not re.fullmatch(r"(\d{1,9}( \d{1,9})*)?", line, flags=re.ASCII):
            raise DataError(f"{path}:{number}: expected codes, found {line[:60]!r}")
        found.append([int(code) for code in line.split()])
    return found


def _lines(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [line.removesuffix("\n") for line in lines]
