"""Finds out in which form labels are, and reads them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from unitdisc.errors import DataError
from unitdisc.manifest import MANIFEST
from unitdisc.scored import label_files
from unitdisc.scored.corpus import read_corpus
from unitdisc.scored.labelled import Labels
from unitdisc.text_lines import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction
    from pathlib import Path

    from unitdisc.units import Units


T = TypeVar("T")

ACCEPTED = (
    f"a corpus folder with {MANIFEST}, a folder of TextGrids or with phones.ctm, a file .ctm, .item, .jsonl, or a "
    "text file"
)

_MEDIA = {".flac", ".wav", ".ogg", ".opus", ".mp3", ".aiff", ".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def read(path: Path, *, step: Fraction) -> Labels:
    """Return the labels of a file or folder in any form. Raises `DataError` with file and line.

    Args:
        path: The file or folder; its ending, or what is in it, says which form it is.
        step: Seconds of a frame, of labels by frame.
    """
    if path.is_dir():
        found = _folder(path)
    elif not path.is_file():
        raise DataError(f"{path}: is not there; give {ACCEPTED}")
    elif path.suffix == ".ctm":
        found = label_files.read_ctm(path)
    elif path.suffix == ".item":
        found = label_files.read_items(path)
    elif path.suffix == ".jsonl":
        found = label_files.read_jsonl(path, step)
    else:
        found = label_files.read_lines(path, step)
    if not found.keys():
        raise DataError(f"{path}: holds no labels; give {ACCEPTED}")
    return found


def fold(labels: Labels, target: str, path: Path) -> None:
    """Replace the symbols of a table by the classes that a file gives them, ``symbol TAB class`` a line.

    A symbol without a class is left unlabelled. Raises `DataError` for a symbol that the file lacks.
    """
    classes = {}
    for line, columns in rows(path, "the columns symbol and class"):
        if len(columns) > 2:
            raise DataError(
                f"{path}:{line}: found {len(columns)} columns; write symbol and class, or symbol alone"
            )
        classes[columns[0]] = columns[1] if len(columns) == 2 else ""
    try:
        labels.tables[target] = labels.tables[target].folded(classes)
    except KeyError as error:
        raise DataError(
            f"{path}: has no line for {error.args[0]!r} of {target}; add one (without a class it is left out)"
        ) from None


def by_stem(labels: Labels, path: Path) -> Labels:
    """Return the same labels under ids without folders and endings."""
    for table in labels.tables.values():
        table.spans = _stems(table.spans, path)
    labels.fields, labels.lengths = _stems(labels.fields, path), _stems(labels.lengths, path)
    labels.splits = _stems(labels.splits, path)
    return labels


def units_by_stem(units: Sequence[Units], where: str) -> list[Units]:
    """Return the same units under ids without folders and endings."""
    found = [replace(item, key=stem(item.key)) for item in units]
    if len({item.key for item in found}) < len(found):
        raise DataError(f"{where}: several ids are the same without folder and ending; leave --stem out")
    return found


def stem(key: str) -> str:
    """Return an id without folders and ending."""
    name = key.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def digest(path: Path) -> str:
    """Return the SHA-256 over names and contents of a file or of all in a folder but recordings and images.

    Of several codebooks in a file each, ``path`` with the number of its codebook, it is over all of them.
    """
    total = hashlib.sha256()
    inside = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    files = [path] if path.is_file() else [file for file in sorted(inside) if file.is_file()]
    for file in files:
        if file.suffix.lower() not in _MEDIA:
            with file.open("rb") as content:
                total.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _folder(path: Path) -> Labels:
    if (path / MANIFEST).is_file():
        return read_corpus(path)
    files = sorted(path.glob("*.ctm"))
    if not files:
        return label_files.read_textgrids(path)
    found = Labels("a folder of CTM files")
    for file in files:
        found.tables |= label_files.read_ctm(file).tables
    return found


def _stems(found: dict[str, T], path: Path) -> dict[str, T]:
    shorter = {stem(key): value for key, value in found.items()}
    if len(shorter) < len(found):
        raise DataError(f"{path}: several ids are the same without folder and ending; leave --stem out")
    return shorter
