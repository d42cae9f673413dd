"""Contract of exporters: files of unit sequences for the next tool, and such files read back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from unitdisc.units import Units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

UNKNOWN = "step"
"""Unit of time of units whose length nobody told: it is 1 of them."""


class Exporter(ABC):
    """Writes the units of one split. The engine supplies nothing and writes ``units.meta.json`` beside the files.

    A format that can merge equal neighbours into one unit takes ``deduplicate: bool = False``, which
    ``unitdisc export --deduplicate`` sets, writes durations beside where it has room, and says what is lost.
    """

    is_timed: ClassVar[bool] = False
    """Whether the files say when a unit is, so that its length must be known."""

    @abstractmethod
    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write files into ``folder`` (which exists) and return them. Raises `RecipeError` for what it cannot hold.

        ``units`` stand in the order of the manifest. Nothing is rounded silently.
        """


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a unit file beside what stands in it; None where nothing is.

    Args:
        step: Length of one unit, in ``unit_of_time``.
        unit_of_time: As in `Units`.
    """

    step: float | None = None
    unit_of_time: str | None = None

    def units(self, key: str, codes: np.ndarray) -> Units:
        """Return codes (S, Q) of a file that knows no times."""
        step = self.step or 1.0
        unit_of_time = (self.unit_of_time or "second") if self.step else UNKNOWN
        return Units(key, codes, 0.0, step, len(codes) * step, unit_of_time)


class Format(Exporter):
    """An exporter whose files can be read again, whoever wrote them."""

    @abstractmethod
    def place(self, split: str) -> str:
        """Return the name of the file or folder that `read` takes, in the folder that `write` fills."""

    @abstractmethod
    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield ("file:line", units) of each utterance or line, repeats spelt out where durations are known.

        Times that the file lacks are those of ``told``. Without any unit Q is unknown: codes are (0, 1).
        Raises `DataError` with file and line for what is damaged or no unit sequence. Nothing is unpickled.
        """
