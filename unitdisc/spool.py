"""Units of more sequences than fit into memory: the codes stand in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import SEEK_END
from typing import IO, TYPE_CHECKING, overload

import numpy as np

from unitdisc.units import Units

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the codes of a sequence stand, with what else is known of it."""

    offset: int
    shape: tuple[int, ...]
    key: str
    end: float


class Spool(Sequence[Units]):
    """Sequences of one split; they can be put in any order and come back in that of their numbers.

    Args:
        file: Open for reading and writing; several splits may share one.
        step: Length of one unit.
        unit_of_time: What that is counted in.
    """

    def __init__(self, file: IO[bytes], *, step: float, unit_of_time: str) -> None:
        self._step, self._unit_of_time = step, unit_of_time
        self._file = file
        self._places: dict[int, _Place] = {}

    def put(self, number: int, units: Units) -> None:
        """Keep a sequence; numbers go from 0 on without gaps once all are there."""
        offset = self._file.seek(0, SEEK_END)
        self._file.write(units.codes.astype(np.int32).tobytes())
        self._places[number] = _Place(offset, units.codes.shape, units.key, units.end)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Units]:
        return map(self._read, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Units: ...
    @overload
    def __getitem__(self, index: slice) -> list[Units]: ...
    def __getitem__(self, index: int | slice) -> Units | list[Units]:
        """Read one sequence, or some, from the file."""
        numbers = range(len(self))[index]
        return self._read(numbers) if isinstance(numbers, int) else [self._read(item) for item in numbers]

    def _read(self, number: int) -> Units:
        place = self._places[number]
        self._file.seek(place.offset)
        content = self._file.read(int(np.prod(place.shape)) * np.dtype(np.int32).itemsize)
        codes = np.frombuffer(content, dtype=np.int32).reshape(place.shape).astype(np.int64)
        return Units(place.key, codes, 0.0, self._step, place.end, self._unit_of_time)
