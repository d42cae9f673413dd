"""Columns found for the symbols of lines, as a label table and as imported lines that `Lines` reads."""

from __future__ import annotations

from dataclasses import replace
from math import floor
from typing import TYPE_CHECKING

from unitdisc.storage import write_text
from unitdisc_handwriting.lines import write_imported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from unitdisc_handwriting.lines import Imported, Line

CHARACTERS = "characters"
"""Name of the table that the text becomes."""
_SPACE = "|"
"""What stands for the space among characters: a symbol of a label table cannot be blank."""


def write_aligned(
    folder: Path,
    imported: Imported,
    widths: Sequence[int],
    *,
    target: str,
    spans: Mapping[str, Sequence[tuple[float, float]]],
) -> str:
    """Write the lines that ``spans`` names, with their columns, into ``folder``; say in a line what it is.

    Args:
        folder: A folder that exists.
        imported: All lines.
        widths: Of each line after it was scaled, which is what spans count in.
        target: "text", which becomes the table "characters", or TABLE_sequence, which becomes TABLE.
        spans: By id, first column and last column (excluded) of each symbol.
    """
    table = CHARACTERS if target == "text" else target.removesuffix("_sequence")
    labelled = []
    for line, width in zip(imported.lines, widths, strict=True):
        if line.id in spans:
            labels = _labels(line, _symbols(line, target), spans[line.id], width)
            labelled.append(replace(line, labels={**line.labels, table: labels}))
    rows = [
        f"{line.id}\t{start}\t{end}\t{symbol}\n"
        for line in labelled
        for start, end, symbol in line.labels[table]
    ]
    write_text(folder / f"{table}.tsv", "".join([f"id\tstart_column\tend_column\t{table}\n", *rows]))
    tables = tuple(dict.fromkeys([*imported.tables, table]))
    return write_imported(folder, replace(imported, tables=tables, lines=tuple(labelled)))


def _symbols(line: Line, target: str) -> list[str]:
    if target == "text":
        return [_SPACE if character.isspace() else character for character in line.fields["text"]]
    return [symbol for *_, symbol in line.labels[target.removesuffix("_sequence")]]


def _labels(
    line: Line, symbols: Sequence[str], spans: Sequence[tuple[float, float]], width: int
) -> list[tuple[int, int, str]]:
    """Return the labels in columns of the stored image, in order."""
    labels = []
    for symbol, span in zip(symbols, spans, strict=True):
        start, end = (min(floor(edge * line.width / width + 0.5), line.width) for edge in span)
        if start < end:  # an image that is stored much smaller may have no column for it
            labels.append((start, end, symbol))
    return labels
