"""What a reader found in an owner's distribution of text lines, checked and written as a corpus folder."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from unitdisc.errors import DataError
from unitdisc.images import MAX_PIXELS
from unitdisc.manifest import MANIFEST, digest
from unitdisc_handwriting.lines import Imported, Line, summary, write_imported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.reader import Drawn

_OWN = frozenset({"id", "path", "split", "width", "height"})
_Label = tuple[int, int, str]


def import_drawn(drawn: Sequence[Drawn], out: Path) -> str:
    """Write the lines that a reader found into the folder ``out``; say in a line what they are.

    It becomes a corpus folder (images, manifest, tables) that is imported already. Only one image at a time
    is held. Raises `DataError` that begins with where the reader found the line.
    """
    _check_keys(drawn)
    tables = sorted({name for item in drawn for name in item.tables})
    (out / "images").mkdir()
    lines = [_write_image(item, number, out, tables) for number, item in enumerate(drawn, 1)]
    with (out / MANIFEST).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line.fields, ensure_ascii=False) + "\n" for line in lines)
    for name in tables:
        _write_table(out / f"{name}.tsv", name, lines)
    # The folder is the import of itself, and stays one when it is moved.
    write_imported(out, Imported(Path(), tuple(tables), tuple(lines), digest(out, tables=tables)))
    return summary(lines)


def _check_keys(drawn: Sequence[Drawn]) -> None:
    splits: dict[str, str] = {}
    for item in drawn:
        if not item.key or not item.key.isprintable() or " " in item.key or "|" in item.key:
            raise DataError(
                f"{item.where}: id {item.key!r} is empty or has white space or '|', which unit files use "
                "between columns; rename it"
            )
        if item.key in splits:
            raise DataError(
                f"{item.where}: id {item.key!r} stands in the splits {splits[item.key]!r} and "
                f"{item.split!r}; every id may stand once"
            )
        splits[item.key] = item.split


def _write_image(item: Drawn, number: int, out: Path, tables: Sequence[str]) -> Line:
    """Write the image as PNG, and return what is known of the line."""
    image = item.read()
    if image.dtype != np.uint8 or image.ndim != 2 or not 0 < image.size <= MAX_PIXELS:
        raise DataError(
            f"{item.where}: the image is {image.dtype} {image.shape}; accepted is uint8 (height, width) with 1 "
            f"to {MAX_PIXELS} pixels"
        )
    path = f"images/{number:06}.png"
    Image.fromarray(image).save(out / path, compress_level=1)  # four times as fast, a tenth larger
    height, width = image.shape
    labels = {name: _labels(item, name, width) for name in tables}
    own = {"id": item.key, "path": path, "split": item.split, "width": width, "height": height}
    further = {name: value for name, value in item.fields.items() if name not in _OWN}
    return Line(item.key, path, item.split, width, height, number, labels, {**own, **further})


def _labels(item: Drawn, table: str, width: int) -> list[_Label]:
    """Return the labels of a table, sorted. Raises `DataError` for those that `Lines` cannot take."""
    labels = sorted(item.tables.get(table, ()), key=lambda label: label[0])
    for start, end, symbol in labels:
        if not 0 <= start < end <= width or not symbol.isprintable() or not symbol.strip():
            raise DataError(
                f"{item.where}: {table} {symbol!r} of {item.key} goes from {start} to {end} in {width} "
                "columns; give 0 <= start < end inside of the image, and a symbol"
            )
    for before, after in pairwise(labels):
        if after[0] == before[0] or after[1] <= before[1]:
            raise DataError(
                f"{item.where}: {table} {after[2]!r} of {item.key} ({after[0]} to {after[1]}) covers or lies in "
                f"{before[2]!r} ({before[0]} to {before[1]}); labels may overlap at their edges only"
            )
    return labels


def _write_table(path: Path, name: str, lines: Sequence[Line]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"id\tstart_column\tend_column\t{name}\n")
        for line in lines:
            file.writelines(f"{line.id}\t{start}\t{end}\t{sign}\n" for start, end, sign in line.labels[name])
