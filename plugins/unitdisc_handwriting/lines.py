"""Imported lines: what is known of each line image once its corpus folder has been checked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from unitdisc.errors import DataError
from unitdisc.manifest import MANIFEST, digest, read_folder
from unitdisc_handwriting.image import read_grey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.manifest import Entry

LINES = "lines.jsonl"
IMPORT = "import.json"


@dataclass(frozen=True)
class Line:
    """One line image.

    Args:
        id: Its id.
        path: Its image, relative to the corpus folder.
        split: Name of its split.
        width: Width of the image in pixels, as it is stored.
        height: Height of it.
        manifest_line: Line of the manifest, from 1.
        labels: By table, (start, end, symbol) in columns of the stored image, the end excluded; sorted.
        fields: The manifest's JSON object.
    """

    id: str
    path: str
    split: str
    width: int
    height: int
    manifest_line: int
    labels: dict[str, list[tuple[int, int, str]]]
    fields: dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """A folder of imported lines.

    Args:
        root: The corpus folder, which holds the images.
        tables: Label tables that were imported.
        lines: In the order of the manifest.
        sha256: Of the imported lines; where the folders lie does not change it.
    """

    root: Path
    tables: tuple[str, ...]
    lines: tuple[Line, ...]
    sha256: str


def write_lines(root: Path, out: Path, tables: Sequence[str]) -> str:
    """Check the corpus folder ``root``, write what `read_lines` reads into ``out``, and return a summary.

    Every image is decoded once. Raises `DataError` with file and line for the first thing that is wrong.
    """
    folder = read_folder(root, tables=tables, unit="column")
    lines = []
    for entry in folder.entries:
        labels = {name: folder.tables[name].get(entry.key, []) for name in tables}
        spans = {
            name: [(label.start, label.end, label.symbol) for label in row] for name, row in labels.items()
        }
        lines.append(_line(folder.root, entry, spans))
    return write_imported(
        out, Imported(folder.root, tuple(tables), tuple(lines), digest(root, tables=tables))
    )


def write_imported(out: Path, imported: Imported) -> str:
    """Write what `read_lines` reads into ``out``, and return a summary; ``sha256`` says what they were made of."""
    with (out / LINES).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(dataclasses.asdict(line)) + "\n" for line in imported.lines)
    about = {"root": str(imported.root), "sha256": imported.sha256, "tables": list(imported.tables)}
    (out / IMPORT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return f"{imported.root}: {summary(imported.lines)}"


def read_lines(folder: Path) -> Imported:
    """Read what `write_lines` wrote into ``folder``."""
    try:
        content = (folder / LINES).read_bytes()
        about = json.loads((folder / IMPORT).read_text(encoding="utf-8"))
        lines = tuple(Line(**json.loads(row)) for row in content.decode().split("\n") if row)
        imported = Imported(
            folder / about["root"], tuple(about["tables"]), lines, hashlib.sha256(content).hexdigest()
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder}: not a whole import of lines ({error}); import the folder again") from None
    if about["root"] == "." and digest(folder, tables=imported.tables) != about["sha256"]:
        raise DataError(
            f"{folder / MANIFEST}: it or a table has changed since it was written; delete {LINES} and {IMPORT} there, "
            "and the folder is read anew"
        )
    for number, line in enumerate(lines, 1):
        if PurePosixPath(line.path).is_absolute() or ".." in PurePosixPath(line.path).parts:
            raise DataError(
                f"{folder / LINES}:{number}: path {line.path!r} leaves {imported.root}; import it again"
            )
    return imported


def _line(root: Path, entry: Entry, labels: dict[str, list[tuple[int, int, str]]]) -> Line:
    where = f"{root / MANIFEST}:{entry.line}"
    path = entry.path.relative_to(root).as_posix()
    height, width = read_grey(entry.path, f"{where}: {path}").shape
    for name, found in (("width", width), ("height", height)):
        stated = entry.fields.get(name, found)
        if stated != found:
            raise DataError(
                f"{where}: {name} is {stated}, but {path} has {found}; correct or leave out the {name}"
            )
    for table, spans in labels.items():
        if spans and spans[-1][1] > width:
            raise DataError(
                f"{root / table}.tsv: a label of {entry.key} ends at column {spans[-1][1]}, but {path} has "
                f"{width}; correct the table"
            )
    return Line(entry.key, path, entry.split, width, height, entry.line, labels, entry.fields)


def summary(lines: Sequence[Line]) -> str:
    """Say in a line how many there are, and of what size."""
    splits = ", ".join(f"{count:,} {name}" for name, count in Counter(line.split for line in lines).items())
    heights = sorted({line.height for line in lines})
    tall = f"{heights[0]}" if len(heights) == 1 else f"{heights[0]} to {heights[-1]}"
    columns = sum(line.width for line in lines)
    return f"{len(lines):,} lines ({splits}), {columns:,} columns, {tall} pixels high"
