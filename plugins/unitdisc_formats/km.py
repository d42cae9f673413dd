"""Units as fairseq's k-means labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Exporter
from unitdisc.storage import write_text
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.runs import without_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
        deduplicate: Merge equal neighbours of a codebook into one unit; their lengths are lost.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write labels and dictionary of each codebook, and the ids."""
        refuse_ids(units, pattern=r"[\r\n]", name="km", reason="a line end")
        count = num_codebooks(units)
        dictionary = "".join(f"{code} 1\n" for code in range(num_codes))
        files = {f"{split}.keys": "".join(f"{item.key}\n" for item in units)}
        for book in range(count):
            labels = "km" if count == 1 else f"km{book}"
            files[f"{split}.{labels}"] = "".join(self._line(item, book) for item in units)
            files[f"dict.{labels}.txt"] = dictionary
        for name, text in files.items():
            write_text(folder / name, text)
        return [folder / name for name in files]

    def _line(self, item: Units, book: int) -> str:
        codes = item.codes[:, book : book + 1]
        if self._deduplicate:
            codes = without_repeats(codes)
        return " ".join(map(str, codes[:, 0].tolist())) + "\n"


def read(path: Path) -> dict[str, list[int]]:
    """Return the codes by id from ``SPLIT.km`` and ``SPLIT.keys`` beside it, in the order of the files.

    Raises `DataError` when the two differ in length or a line holds something other than codes.
    """
    keys = _lines(path.with_suffix(".keys"))
    lines = _lines(path)
    if len(keys) != len(lines):
        raise DataError(f"{path}: {len(lines)} lines for {len(keys)} ids in {path.with_suffix('.keys').name}")
    found = {}
    for number, (key, line) in enumerate(zip(keys, lines, strict=True), start=1):
        try:
            found[key] = [int(code) for code in line.split()]
        except ValueError:
            raise DataError(f"{path}:{number}: expected codes, found {line[:60]!r}") from None
    return found


def _lines(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [line.removesuffix("\n") for line in lines]
