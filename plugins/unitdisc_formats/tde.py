"""Units as classes of segments, as term-discovery scorers read them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.storage import write_lines
from unitdisc_formats.limits import refuse_ids, refuse_several
from unitdisc_formats.lines import lines
from unitdisc_formats.spans import Spans, clock, on_grid, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units

_CLASS = re.compile(r"Class (\d{1,9})\b.*", flags=re.ASCII)


class TDE(Format):
    """Blocks ``Class 3:`` of lines ``id start end``, ``SPLIT.class``: the form of ZeroSpeech 2017 and tdev2.

    A class per code that occurs, in ascending order, each followed by an empty line. Times are in seconds (columns
    for line images) with 6 decimals, rounded as in ctm. Holds one codebook; an utterance without units has no line,
    and the order of ids is that of their first classes.

    Args:
        deduplicate: Merge equal neighbours into one segment that lasts as long as they did, which scorers of
            segments expect. Nothing is lost but the edges between them, which stand a step apart.
    """

    is_timed = True

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"{split}.class"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        refuse_several(units, name="tde")
        refuse_ids(units, pattern=r"\s|^Class", name="tde", reason="white space, begin with 'Class'")
        classes: dict[int, list[str]] = defaultdict(list)
        for item in units:
            for start, end, (code,) in ticks(item, deduplicate=self._deduplicate):
                classes[code].append(f"{item.key} {clock(start)} {clock(end)}\n")
        path = folder / self.place(split)
        blocks = ((f"Class {code}:\n", *classes[code], "\n") for code in sorted(classes))
        write_lines(path, (line for block in blocks for line in block))
        return [path]

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each id; segments must follow one another without gaps."""
        found: dict[str, Spans] = {}
        code: int | None = None
        for where, line in lines(path):
            if begins := _CLASS.fullmatch(line):
                code = int(begins[1])
            elif line.strip():
                try:
                    key, start, end = line.split()
                    span = float(start), float(end)
                except ValueError:
                    raise DataError(f"{where}: expected 'id start end', found {line[:60]!r}") from None
                if code is None:
                    raise DataError(f"{where}: a segment before the first 'Class NUMBER:'")
                found.setdefault(key, Spans(where)).spans.append((*span, (code,)))
        yield from on_grid(found, told, path)
