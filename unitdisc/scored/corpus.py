"""Labels of a corpus folder: its manifest and its tables of timed labels."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from unitdisc.errors import DataError
from unitdisc.manifest import Entry, read_folder
from unitdisc.scored.labelled import Labels
from unitdisc.scored.spans import Table
from unitdisc.text_lines import lines

if TYPE_CHECKING:
    from pathlib import Path

_HEADERS: dict[str, Literal["sample", "column"]] = {"start_sample": "sample", "start_column": "column"}


def read_corpus(root: Path) -> Labels:
    """Return every label table of a corpus folder (see `unitdisc.manifest`), with the manifest's fields."""
    units = {path.stem: unit for path in sorted(root.glob("*.tsv")) if (unit := _unit(path))}
    kinds = set(units.values())
    if len(kinds) > 1:
        raise DataError(f"{root}: has label tables in samples and in columns; keep one kind there")
    unit = kinds.pop() if kinds else "sample"
    folder = read_folder(root, tables=list(units), unit=unit)
    found = Labels("a corpus folder", "second" if unit == "sample" else "column")
    rates = {}
    for entry in folder.entries:
        fields = entry.fields.items()
        found.fields[entry.key] = {
            name: str(value) for name, value in fields if isinstance(value, str | int | float)
        }
        found.splits[entry.key] = entry.split
        length, rates[entry.key] = _measure(entry, unit)
        if length is not None:
            found.lengths[entry.key] = Fraction(length, rates[entry.key])
    for name, labels in folder.tables.items():
        table = found.tables[name] = Table()
        for key, rows in labels.items():
            table.add(key, ((row.start, row.end, row.symbol) for row in rows), rates[key])
    return found


def _unit(path: Path) -> Literal["sample", "column"] | None:
    """Return what the times of a table are, or None for another table."""
    header = next((line.split("\t") for _, line in lines(path)), [])
    return _HEADERS.get(header[1]) if len(header) >= 4 and header[0] == "id" else None


def _measure(entry: Entry, unit: str) -> tuple[int | None, int]:
    """Return the length of an entry in ticks, where it is known, and ticks per second or column."""
    fields = entry.fields
    if unit == "column":
        return fields.get("width"), 1
    if "sample_rate" in fields and "n_samples" in fields:
        return fields["n_samples"], fields["sample_rate"]
    if "width" in fields:  # line images without labels
        return fields["width"], 1
    return _header(entry)


def _header(entry: Entry) -> tuple[int, int]:
    import soundfile  # noqa: PLC0415  (other labels need no recordings)

    try:
        about = soundfile.info(entry.path)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{entry.path}: no recording that can be read ({error}); give n_samples and sample_rate in the manifest"
        ) from None
    return about.frames, about.samplerate
