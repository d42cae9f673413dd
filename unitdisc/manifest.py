"""A corpus folder: `manifest.jsonl`, the recordings or images it names, and tables of timed labels.

Each line of the manifest is a JSON object with `id` and `path` (relative to the folder), usually `split`, and
what else is known: `n_samples`, `sample_rate` and `duration` (seconds) of recordings, `width` and `height` of
images, `speaker`, `text`. Either every line names its split or none does; then all belong to "train".

A label table `<name>.tsv` has a header and the columns `id`, `start_sample`, `end_sample` (or `start_column`,
`end_column`; the end is excluded), then the symbol. Further columns are ignored. Neighbours may overlap at
their edges, as words of running speech do, but one may not lie in the other.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from unitdisc import suggest
from unitdisc.errors import DataError
from unitdisc.text_lines import lines, read_bytes, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MANIFEST = "manifest.jsonl"
_MAX_SECONDS = 48 * 3600
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_TIMED_COLUMNS = 4


_KEYS = ("id", "path", "split", "speaker", "document")
"""Keys of the manifest that change what is learnt: a misspelt one must not pass for a further field."""


@dataclass(frozen=True)
class Entry:
    """One recording or image of a folder.

    Args:
        key: Its id, without white space and "|", which the unit files need to separate columns.
        path: Absolute path, inside the folder.
        split: Name of its split.
        fields: The whole JSON object.
        line: Line of the manifest, from 1.
    """

    key: str
    path: Path
    split: str
    fields: dict[str, Any]
    line: int


@dataclass(frozen=True)
class Label:
    """A symbol and where it stands, in samples or columns; ``end`` is excluded."""

    start: int
    end: int
    symbol: str


@dataclass(frozen=True)
class Folder:
    """A checked corpus folder.

    Args:
        root: Absolute path of the folder.
        entries: In the order of the manifest.
        tables: Table name to id to labels, sorted by start; an id without labels is absent.
    """

    root: Path
    entries: tuple[Entry, ...]
    tables: dict[str, dict[str, list[Label]]]

    def splits(self) -> list[str]:
        """Return the names of the splits, in the order in which the manifest first names them."""
        return list(dict.fromkeys(entry.split for entry in self.entries))


def read_folder(root: Path, *, tables: Sequence[str] = (), unit: Literal["sample", "column"]) -> Folder:
    """Read and check the manifest and the named label tables of the folder ``root``.

    Raises `DataError` with file and line. Of recordings and images it checks only that they exist in there.
    """
    root = root.resolve()
    entries = _read_entries(root)
    limits = {entry.key: entry.fields.get("n_samples" if unit == "sample" else "width") for entry in entries}
    return Folder(root, entries, {name: _read_table(root, name, unit, limits) for name in tables})


def digest(root: Path, *, tables: Sequence[str] = ()) -> str:
    """Return the SHA-256 over the manifest and the named label tables; recordings and images are not read."""
    total = hashlib.sha256()
    for path in (_manifest(root), *(_table(root, name) for name in sorted(tables))):
        content = read_bytes(path)
        total.update(f"{path.name} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def _manifest(root: Path) -> Path:
    if not root.is_dir():
        what = "is a file" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; give a folder that holds {MANIFEST}")
    if not (root / MANIFEST).is_file():
        if (root / "import.json").is_file():
            raise DataError(
                f"{root}: was imported for another data source; use a recipe of that kind of data"
            )
        raise DataError(
            f"{root}: no {MANIFEST} in there; write one line per recording or image, such as "
            '{"id": "a", "path": "a.flac"} (unitdisc data import --help)'
        )
    return root / MANIFEST


def _table(root: Path, name: str) -> Path:
    path = root / f"{name}.tsv"
    if not path.is_file():
        found = ", ".join(sorted(table.stem for table in root.glob("*.tsv"))) or "no *.tsv"
        raise DataError(f"{path}: no such label table (found {found}); name one that exists")
    return path


def _read_entries(root: Path) -> tuple[Entry, ...]:
    path = _manifest(root)
    entries: dict[str, Entry] = {}
    for line, text in lines(path):
        entry = _entry(root, text, path, line)
        if entry.key in entries:
            first = entries[entry.key].line
            raise DataError(f"{path}:{line}: id {entry.key!r} repeats line {first}; every id may stand once")
        entries[entry.key] = entry
    if not entries:
        raise DataError(f"{path}: found no entries; write one JSON object with id and path per line")
    missing = [entry for entry in entries.values() if "split" not in entry.fields]
    if 0 < len(missing) < len(entries):
        raise DataError(
            f"{path}:{missing[0].line}: no split, though other lines have one; give every line one, or none"
        )
    return tuple(entries.values())


def _entry(root: Path, text: str, path: Path, line: int) -> Entry:
    where = f"{path}:{line}"
    try:
        fields = json.loads(text)
        if "\\u" in text:  # half a surrogate pair passes as JSON, but no file can hold it
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); write one JSON object per line") from None
    if not isinstance(fields, dict):
        raise DataError(
            f'{where}: found {_shown(fields)}; write a JSON object such as {{"id": ..., "path": ...}}'
        )
    for name, meant in filter(None, map(_misspelt, fields)):
        if meant not in fields:
            raise DataError(f"{where}: unknown key {name!r}; did you mean {meant!r}? (else rename it)")
    key = _text(fields, "id", where)
    if " " in key or "|" in key:
        raise DataError(
            f'{where}: id {key!r} has a space or "|", which unit files use between columns; rename it'
        )
    split = _text(fields, "split", where) if "split" in fields else "train"
    _check_numbers(fields, where)
    return Entry(key, _inside(root, _text(fields, "path", where), where), split, fields, line)


@functools.cache  # the same few keys stand on every line
def _misspelt(name: str) -> tuple[str, str] | None:
    """Return a key that is one letter from one of `_KEYS`, with that one."""
    near = next((key for key in _KEYS if suggest.is_one_edit(name.casefold(), key)), None)
    return (name, near) if near and name not in _KEYS else None


def _text(fields: dict[str, Any], name: str, where: str) -> str:
    if name not in fields:
        raise DataError(
            f"{where}: no {name} (found {', '.join(map(repr, fields)) or 'an empty object'}); add it"
        )
    value = fields[name]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise DataError(
            f"{where}: {name} is {_shown(value)}; give text without tabs, line ends and control characters"
        )
    return value


def _inside(root: Path, relative: str, where: str) -> Path:
    """Return the absolute path of an existing file that lies in ``root`` after every link is followed."""
    if relative.startswith(("/", "\\")):
        raise DataError(f"{where}: path {relative!r} is absolute; give it relative to {root}")
    try:
        path = (root / relative).resolve()
        if not path.is_relative_to(root):
            raise DataError(
                f"{where}: path {relative!r} leaves the folder {root}; move or copy the file into it"
            )
        exists = path.is_file()
    except (OSError, RuntimeError):  # a name that is too long, links in a circle
        exists = False
    if not exists:
        raise DataError(f"{where}: no file {relative!r} in {root}; put it there or take the line out")
    return path


def _check_numbers(fields: dict[str, Any], where: str) -> None:
    for name in ("n_samples", "sample_rate", "width", "height"):
        value = fields.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise DataError(f"{where}: {name} is {_shown(value)}; give a whole number above 0")
    if "duration" not in fields:
        return
    seconds = fields["duration"]
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= _MAX_SECONDS:
        raise DataError(
            f"{where}: duration is {_shown(seconds)}; give seconds above 0 and up to {_MAX_SECONDS} (48 h)"
        )
    if "n_samples" in fields and "sample_rate" in fields:
        samples = seconds * fields["sample_rate"]
        if abs(samples - fields["n_samples"]) > 1:
            raise DataError(
                f"{where}: n_samples is {fields['n_samples']}, but duration * sample_rate is {samples:.1f}; "
                "correct one of them or leave duration out"
            )


def _read_table(root: Path, name: str, unit: str, limits: dict[str, int | None]) -> dict[str, list[Label]]:
    path = _table(root, name)
    columns = ["id", f"start_{unit}", f"end_{unit}"]
    width = 0
    labels: dict[str, list[tuple[Label, int]]] = {}
    for line, row in rows(path, f"the columns {', '.join(columns)} and the symbol"):
        if width == 0:
            width = len(row)
            if row[:3] != columns or width < _TIMED_COLUMNS:
                raise DataError(
                    f"{path}:{line}: the header is {', '.join(row)}; give {', '.join(columns)} and the symbol"
                )
            continue
        if len(row) != width:
            raise DataError(
                f"{path}:{line}: found {len(row)} columns, the header has {width}; separate them by tabs"
            )
        label = _label(row, unit, limits, f"{path}:{line}")
        labels.setdefault(row[0], []).append((label, line))
    return {key: _ordered(key, found, path) for key, found in labels.items()}


def _label(row: list[str], unit: str, limits: dict[str, int | None], where: str) -> Label:
    key, start, end, symbol = row[:_TIMED_COLUMNS]
    if key not in limits:
        raise DataError(f"{where}: id {key!r} is not in {MANIFEST}; correct it or take the line out")
    for name, value in ((f"start_{unit}", start), (f"end_{unit}", end)):
        if not _WHOLE.fullmatch(value):
            raise DataError(f"{where}: {name} of {key} is {value!r}; give a whole number of {unit}s")
    left, right, limit = int(start), int(end), limits[key]
    if not 0 <= left < right:
        raise DataError(f"{where}: a label of {key} goes from {left} to {right}; give 0 <= start < end")
    if limit is not None and right > limit:
        raise DataError(
            f"{where}: a label of {key} ends at {unit} {right}, but there are {limit}; correct the table"
        )
    if not symbol.strip():
        raise DataError(f"{where}: the symbol of {key} is empty; write one or take the line out")
    return Label(left, right, symbol)


def _ordered(key: str, labels: list[tuple[Label, int]], path: Path) -> list[Label]:
    labels = sorted(labels, key=lambda item: item[0].start)
    for (before, _), (label, line) in pairwise(labels):
        if label.start == before.start or label.end <= before.end:
            raise DataError(
                f"{path}:{line}: {label.symbol!r} of {key} ({label.start} to {label.end}) covers or lies in "
                f"{before.symbol!r} ({before.start} to {before.end}); labels may overlap at their edges only"
            )
    return [label for label, _ in labels]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
