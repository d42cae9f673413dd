"""Units with their times as CTM."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Exporter
from unitdisc.repeats import run_starts
from unitdisc.storage import write_text
from unitdisc_formats.limits import num_codebooks, refuse_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units

Span = tuple[float, float, tuple[int, ...]]

_TICKS = 10**6
"""Steps of a printed time in one second or column."""


class CTM(Exporter):
    """Time-marked units, ``SPLIT.ctm``: a line ``id 1 start duration unit`` per unit.

    The form of Kaldi, sclite and lhotse. Times are in seconds (columns for line images) with 6 decimals. The
    edges between units are rounded to these, each once: a unit ends exactly where the next begins, and errors
    do not add up. The exact step stands in ``units.meta.json``. With several codebooks a unit is its codes
    joined by "-", as in "3-17". An utterance without units has no line.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one line that lasts as long as they did.
            Nothing is lost but the edges between them, which stand a step apart.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        refuse_ids(units, pattern=r"\s|^;;", name="ctm", reason="white space or begin with ';;'")
        path = folder / f"{split}.ctm"
        write_text(path, "".join(line for item in units for line in self._lines(item)))
        return [path]

    def _lines(self, item: Units) -> Iterator[str]:
        spans = list(item.spans())
        edges = [round(min(left, item.end) * _TICKS) for left, _, _ in spans]
        edges += [round(right * _TICKS) for _, right, _ in spans[-1:]]
        firsts = run_starts(item.codes).tolist() if self._deduplicate else range(len(spans))
        for first, after in pairwise([*firsts, len(spans)]):
            start, stop = edges[first], edges[after]
            unit = "-".join(map(str, spans[first][2]))
            yield f"{item.key} 1 {start / _TICKS:.6f} {(stop - start) / _TICKS:.6f} {unit}\n"


def read(path: Path) -> dict[str, list[Span]]:
    """Return (start, end, codes) per line by id, in file order. Raises `DataError` with the wrong line."""
    found: dict[str, list[Span]] = {}
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                key, _, start, duration, unit = line.split()
                end = round(float(start) + float(duration), 6)
                span = float(start), end, tuple(map(int, unit.split("-")))
            except ValueError:
                raise DataError(
                    f"{path}:{number}: expected 'id channel start duration unit', found {line[:60]!r}"
                ) from None
            found.setdefault(key, []).append(span)
    return found
