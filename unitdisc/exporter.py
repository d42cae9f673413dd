"""Contract of exporters: files of unit sequences for the next tool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unitdisc.units import Units


class Exporter(ABC):
    """Writes the units of one split. The engine supplies nothing and writes ``units.meta.json`` beside the files.

    A format that can merge equal neighbours into one unit takes ``deduplicate: bool = False``, which
    ``unitdisc export --deduplicate`` sets, writes durations beside where it has room, and says what is lost.
    """

    @abstractmethod
    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write files into ``folder`` (which exists) and return them. Raises `RecipeError` for what it cannot hold.

        ``units`` stand in the order of the manifest. Nothing is rounded silently.
        """
