"""Units as Kaldi's text and as its table of integer vectors."""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.repeats import without_repeats
from unitdisc.storage import write_pieces
from unitdisc.text_lines import read_bytes
from unitdisc_formats.id_lines import IdLines
from unitdisc_formats.lines import column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.exporter import Told
    from unitdisc.units import Units

_COUNT = Struct("<bi")
_NUMBER = np.dtype([("size", "i1"), ("value", "<i4")])
_BINARY = b"\0B"


class Kaldi(IdLines):
    """Lines ``id 3 3 17``, ``SPLIT.text``, and the same as a binary table of integer vectors, ``SPLIT.ark``.

    The table is what ``copy-int-vector ark:SPLIT.ark ark,t:-`` and kaldiio read, as they read alignments
    (``ali``). Holds one codebook and no times; ids must not hold white space.

    Args:
        deduplicate: Merge equal neighbours into one unit in both files. How many they were stands in
            ``SPLIT.text.durations``, which is read back with the text.
    """

    name = "kaldi"
    refused = (r"\s", "white space")
    between = " "

    def place(self, split: str) -> str:
        """Return the text's name."""
        return f"{split}.text"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write text and table."""
        text, *others = super().write(units, split=split, num_codes=num_codes, folder=folder)
        table = folder / f"{split}.ark"
        write_pieces(table, map(self._entry, units))
        return [text, table, *others]

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each line of a text, or of each entry of a binary table ``.ark``."""
        if path.suffix != ".ark" or _BINARY not in read_bytes(path)[:4096]:
            yield from super().read(path, told)
            return
        for where, key, codes in _entries(path):
            yield where, told.units(key, codes)

    def _entry(self, item: Units) -> bytes:
        codes = without_repeats(item.codes) if self._deduplicate else item.codes
        body = np.empty(len(codes), _NUMBER)
        body["size"], body["value"] = 4, codes[:, 0]
        return item.key.encode() + b" " + _BINARY + _COUNT.pack(4, len(codes)) + body.tobytes()


def _entries(path: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (where, id, codes (S, 1)) of a table: id, space, NUL, B, then 5 bytes for the count and each code."""
    content = read_bytes(path)
    at = 0
    while at < len(content):
        where = f"{path}: byte {at}"
        end = content.find(b" ", at)
        start = end + 1 + len(_BINARY) + _COUNT.size
        if end < 0 or start > len(content) or content[end + 1 : end + 3] != _BINARY:
            raise DataError(f"{where}: expected 'id \\0B' of a table of integer vectors; the file is damaged")
        size, count = unpack_from("<bi", content, start - _COUNT.size)
        stop = start + count * _NUMBER.itemsize
        if size != 4 or count < 0 or stop > len(content):
            raise DataError(
                f"{where}: expected a vector of 32-bit integers; the file is damaged or of another kind"
            )
        body = np.frombuffer(content[start:stop], _NUMBER)
        if np.any(body["size"] != 4) or np.any(body["value"] < 0):
            raise DataError(f"{where}: expected codes from 0 on; the file is damaged or of another kind")
        yield where, _key(content[at:end], where), column(body["value"].tolist())
        at = stop


def _key(name: bytes, where: str) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise DataError(f"{where}: the id is not UTF-8; the file is damaged") from None
