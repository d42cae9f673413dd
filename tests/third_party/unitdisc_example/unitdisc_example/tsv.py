"""Units as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.exporter import Exporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unitdisc.units import Units


class TSV(Exporter):
    """One unit per line: id, start, end, codes; separated by tabs."""

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write ``<split>.tsv``."""
        del num_codes
        path = folder / f"{split}.tsv"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for utterance in units:
                for start, end, codes in utterance.spans():
                    file.write("\t".join(map(str, (utterance.key, start, end, *codes))) + "\n")
        return [path]
