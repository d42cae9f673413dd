"""Units as alignments of lhotse's supervisions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.storage import write_lines
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.lines import joined, lines
from unitdisc_formats.spans import TICKS, Spans, on_grid, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units


class Lhotse(Format):
    """A supervision per line, ``supervisions-SPLIT.jsonl``, whose ``alignment["unit"]`` holds symbol, start, duration.

    ``lhotse.SupervisionSet.from_file`` reads it; ids of supervision and recording are those of the utterances.
    Times are in seconds (columns for line images), rounded to 6 decimals as in ctm. With several codebooks a symbol
    is its codes joined by "-".

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one item that lasts as long as they did. Nothing
            is lost but the edges between them, which stand a step apart.
    """

    is_timed = True

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"supervisions-{split}.jsonl"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        refuse_ids(units, pattern="^$", name="lhotse", reason="nothing")
        path = folder / self.place(split)
        write_lines(path, map(self._line, units))
        return [path]

    def _line(self, item: Units) -> str:
        spans = ticks(item, deduplicate=self._deduplicate)
        unit = [
            ["-".join(map(str, codes)), start / TICKS, (end - start) / TICKS] for start, end, codes in spans
        ]
        start, end = round(item.start * TICKS), round(item.end * TICKS)
        segment = {
            "id": item.key,
            "recording_id": item.key,
            "start": start / TICKS,
            "duration": (end - start) / TICKS,
            "channel": 0,
            "alignment": {"unit": unit},
        }
        return json.dumps(segment) + "\n"

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each supervision; a file ending in .gz is unpacked."""
        found: dict[str, Spans] = {}
        for where, line in lines(path):
            try:
                segment = json.loads(line)
                key, start = str(segment["id"]), float(segment["start"])
                end = round(start + float(segment["duration"]), 6)
                spans = [_span(item, where) for item in segment["alignment"]["unit"]]
            except (ValueError, KeyError, TypeError):
                raise DataError(
                    f'{where}: expected a supervision with "id", "start", "duration" and "alignment": {{"unit": '
                    f"[[symbol, start, duration], ...]}}, found {line[:60]!r}"
                ) from None
            if key in found:
                raise DataError(f"{where}: {key!r} stands in an earlier line too; keep one of them")
            found[key] = Spans(where, spans, (start, end))
        yield from on_grid(found, told, path)


def _span(item: list[Any], where: str) -> tuple[float, float, tuple[int, ...]]:
    symbol, start, duration = item[:3]
    return float(start), round(float(start) + float(duration), 6), joined(str(symbol), where)
