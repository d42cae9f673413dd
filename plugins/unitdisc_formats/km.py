"""Units as fairseq's k-means labels."""

from __future__ import annotations

from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import write_lines
from unitdisc.unit_lines import repeated
from unitdisc_formats.audio_manifest import manifest
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.lines import lines, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from unitdisc.units import Units

_NONE = np.zeros(0, np.int32)


class KM(Format):
    """Labels of fairseq's HuBERT, ``SPLIT.km``: a line of space-separated codes per utterance or line.

    fairseq couples the lines to those of a manifest ``SPLIT.tsv`` of audio paths and samples: with ``audio`` it is
    written from the recordings. ``SPLIT.keys`` holds the ids in the same order, one per line.

    ``dict.km.txt`` lists every code as "code 1" in ascending order, as fairseq's own recipe does: it is the
    same for all splits, so a code has one index everywhere, also where a split lacks it. The 1 is no count.

    With several codebooks each has its own label set as fairseq names them, ``SPLIT.km0`` with
    ``dict.km0.txt`` (``task.labels=[km0,km1]``).

    Args:
        deduplicate: Merge equal neighbours (in all codebooks, so that label sets stay aligned) into one unit.
            How many they were stands in ``SPLIT.durations``, a line per line of the labels, so nothing is
            lost. For language models; fairseq's HuBERT needs a label per step.
        audio: Folder of the recordings, ``AUDIO/ID.flac``, ``.wav`` or ``.ogg``: writes ``SPLIT.tsv``, whose first
            line is this folder and whose others are path and samples, in the order of the labels.
    """

    def __init__(self, *, deduplicate: bool = False, audio: Path | None = None) -> None:
        self._deduplicate = deduplicate
        self._audio = audio

    def place(self, split: str) -> str:
        """Return the name of the labels; those of several codebooks have their number after it."""
        return f"{split}.km"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write labels and dictionary of each codebook, and the ids."""
        refuse_ids(units, pattern=r"[\r\n]", name="km", reason="a line end")
        num_books = num_codebooks(units)
        files: dict[str, Iterable[str]] = {f"{split}.keys": (f"{item.key}\n" for item in units)}
        if self._audio is not None:
            files[f"{split}.tsv"] = manifest(self._audio, units)
        if self._deduplicate:
            files[f"{split}.durations"] = (_line(durations(item.codes)) for item in units)
        for book in range(num_books):
            labels = "km" if num_books == 1 else f"km{book}"
            files[f"{split}.{labels}"] = map(partial(self._labels, book), units)
            files[f"dict.{labels}.txt"] = (f"{code} 1\n" for code in range(num_codes))
        for name, content in files.items():
            write_lines(folder / name, content)
        return [folder / name for name in files]

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each line; of all codebooks where ``path`` is ``SPLIT.km`` and there are several.

        Ids stand in ``SPLIT.keys``, else they are the paths of ``SPLIT.tsv`` without their endings.
        """
        places = [path] if path.is_file() else list(_books(path)) or [path]
        books = [_read(place) for place in places]
        for number, key in enumerate(books[0], start=1):
            rows = [book.get(key, _NONE) for book in books]
            where = f"{places[0]}:{number}"
            if len({len(codes) for codes in rows}) > 1:
                raise DataError(f"{where}: the label sets of {key!r} differ in length; export anew")
            yield where, told.units(key, np.array(rows, np.int64).T)

    def _labels(self, book: int, item: Units) -> str:
        return _line((without_repeats(item.codes) if self._deduplicate else item.codes)[:, book])


def _line(row: np.ndarray) -> str:
    return " ".join(map(str, row.tolist())) + "\n"


def read(path: Path) -> dict[str, list[int]]:
    """Return the codes by id from ``SPLIT.km`` and ``SPLIT.keys`` beside it, in the order of the files.

    Where ``SPLIT.durations`` is there, each code is repeated as often as it says. Raises `DataError` when the
    files differ in length or a line holds something other than codes.
    """
    return {key: codes.tolist() for key, codes in _read(path).items()}


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return what `read` does as arrays (S,) int32, which take a ninth of the memory."""
    codes = [np.array(numbers(text, where), np.int32) for where, text in lines(path)]
    beside, keys = _keys(path)
    _refuse_other_length(path, len(codes), len(keys), f"ids in {beside.name}")
    if len(set(keys)) < len(keys):
        raise DataError(f"{beside}: {_repeated(keys)!r} stands in two lines; ids must differ")
    beside = path.with_suffix(".durations")
    if beside.exists():
        counts = [numbers(text, where) for where, text in lines(beside)]
        _refuse_other_length(beside, len(counts), len(keys), f"lines in {path.name}")
        codes = [
            repeated(labels, lasting, f"{beside}:{line}")
            for line, (labels, lasting) in enumerate(zip(codes, counts, strict=True), start=1)
        ]
    return dict(zip(keys, codes, strict=True))


def _books(path: Path) -> Iterator[Path]:
    """Yield where the label sets of several codebooks would stand, up to the first that is not there."""
    for book in count():
        place = path.with_name(f"{path.name}{book}")
        if not place.is_file():
            return
        yield place


def _keys(path: Path) -> tuple[Path, list[str]]:
    """Return the file of the ids, and them."""
    keys, audio = path.with_suffix(".keys"), path.with_suffix(".tsv")
    if keys.is_file() or not audio.is_file():
        return keys, [line for _, line in lines(keys)]
    paths = [line.split("\t")[0] for _, line in lines(audio)][1:]
    return audio, [PurePosixPath(name).with_suffix("").as_posix() for name in paths]


def _repeated(keys: list[str]) -> str:
    return next(key for number, key in enumerate(keys) if key in keys[:number])


def _refuse_other_length(path: Path, found: int, wanted: int, of: str) -> None:
    if found != wanted:
        raise DataError(f"{path}: {found} lines for {wanted} {of}")
