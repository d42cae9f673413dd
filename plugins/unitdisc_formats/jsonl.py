"""Units as JSON lines, the form that discophon and fastabx read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.exporter import Exporter
from unitdisc.storage import write_text
from unitdisc_formats.limits import num_codebooks
from unitdisc_formats.runs import without_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unitdisc.units import Units


class JSONL(Exporter):
    """JSON lines, ``units-SPLIT.jsonl``: a line ``{"file": id, "units": [3, 3, 17]}`` per utterance.

    The form of discophon, which finds its files as ``units-LANGUAGE-SPLIT.jsonl`` (a split named "eng-dev"
    fits), and of fastabx. With several codebooks each unit is a list of its codes; neither of them reads
    that. The length of a unit stands in ``units.meta.json``.

    Args:
        deduplicate: Merge equal neighbours into one unit; their lengths are lost.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        flat = num_codebooks(units) == 1
        lines = []
        for item in units:
            codes = without_repeats(item.codes) if self._deduplicate else item.codes
            content = {"file": item.key, "units": (codes[:, 0] if flat else codes).tolist()}
            lines.append(json.dumps(content) + "\n")
        path = folder / f"units-{split}.jsonl"
        write_text(path, "".join(lines))
        return [path]


def read(path: Path) -> dict[str, list[int] | list[list[int]]]:
    """Return the units by id, in the order of the file. Raises `DataError` with the wrong line."""
    found: dict[str, list[int] | list[list[int]]] = {}
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                content = json.loads(line)
                found[content["file"]] = content["units"]
            except (ValueError, KeyError, TypeError):
                raise DataError(
                    f'{path}:{number}: expected {{"file": id, "units": [...]}}, found {line[:60]!r}'
                ) from None
    return found
