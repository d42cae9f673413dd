"""Units kept in a folder as they come, by one process or several, so that those which are killed go on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, overload
from zlib import crc32

import numpy as np

from unitdisc import distributed
from unitdisc.errors import StorageError
from unitdisc.units import Units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_ABOUT = "about.json"
_NUMBER = np.dtype(np.int32)


@dataclass(frozen=True)
class Kept:
    """One example that is done.

    Args:
        number: Its place in the split.
        units: None where the example was left out.
        digest: SHA-256 of its file, where the file is all that is known of it.
        reason: Why it was left out.
    """

    number: int
    units: Units | None
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where codes and fields of an example stand, with what else is known of it."""

    file: Path
    offset: int
    shape: tuple[int, int]
    extra: int
    key: str
    end: float
    digest: str
    reason: str


@dataclass
class Progress:
    """A folder of units that are done: ``codes-RANK`` holds them, ``done-RANK`` says which, a line per batch.

    A line is written after its codes and holds their checksum, so whatever a killed process left half-written does
    not count. Batches must not depend on the number of processes, nor on what is done: then codes do not, either.

    Args:
        folder: Where it lies; it is gone once the results are written.
        about: What the units are of. What was kept of anything else is thrown away.
        step: Length of one unit.
        unit_of_time: What that is counted in.
    """

    folder: Path
    about: Mapping[str, Any]
    step: float
    unit_of_time: str
    _places: dict[str, dict[int, _Place]] = field(default_factory=dict, init=False)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder; all processes enter. Raises `StorageError` where another run holds it."""
        lock: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if distributed.rank() == 0:
            lock = self._claimed()
        with lock:
            distributed.barrier()
            self.look()
            try:
                yield
            finally:
                if distributed.rank() == 0 and not any(self.folder.glob("done-*")):
                    shutil.rmtree(self.folder, ignore_errors=True)

    def _claimed(self) -> IO[str]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(exist_ok=True)
        lock = (self.folder / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StorageError(f"{self.folder}: another process writes these units; wait for it") from error
        about, path = json.dumps(self.about, sort_keys=True), self.folder / _ABOUT
        if not path.is_file() or path.read_text(encoding="utf-8") != about:
            for old in (*self.folder.glob("done-*"), *self.folder.glob("codes-*")):
                old.unlink()
            path.write_text(about, encoding="utf-8")
        return lock

    def look(self) -> None:
        """Look up what all processes have done by now."""
        self._places = {}
        for path in sorted(self.folder.glob("done-*")):
            codes = path.with_name(path.name.replace("done", "codes"))
            with codes.open("rb") as file:
                for line in path.read_bytes().split(b"\n")[:-1]:
                    self._note(line, file, codes)

    def _note(self, line: bytes, file: IO[bytes], codes: Path) -> None:
        try:
            batch = json.loads(line)
        except ValueError:  # a line that was cut, and gone on in by the next process
            return
        file.seek(batch["offset"])
        if crc32(file.read(batch["size"])) != batch["checksum"]:
            return
        places, offset = self._places.setdefault(batch["split"], {}), batch["offset"]
        for number, key, end, num_units, num_codebooks, extra, digest, reason in batch["items"]:
            places[number] = _Place(
                codes, offset, (num_units, num_codebooks), extra, key, end, digest, reason
            )
            offset += num_units * num_codebooks * _NUMBER.itemsize + extra

    def done(self, split: str) -> set[int]:
        """Return the numbers of the examples that were done when it was looked."""
        return set(self._places.get(split, ()))

    def put(self, split: str, batch: Iterable[Kept]) -> None:
        """Keep examples, all together or none of them."""
        items: list[list[Any]] = []
        content = bytearray()
        for kept in batch:
            units = kept.units
            if units is None:
                items.append([kept.number, "", 0.0, 0, 0, 0, "", kept.reason])
                continue
            extra = json.dumps(dict(units.fields)).encode() if units.fields else b""
            items.append([kept.number, units.key, units.end, *units.codes.shape, len(extra), kept.digest, ""])
            content += units.codes.astype(_NUMBER).tobytes() + extra
        rank = distributed.rank()
        with (self.folder / f"codes-{rank}").open("ab") as file:
            offset = file.tell()
            file.write(content)
        about = {"split": split, "offset": offset, "size": len(content), "checksum": crc32(content)}
        with (self.folder / f"done-{rank}").open("ab") as file:
            # The line before may have been cut: it must not take this one with it.
            file.write(b"\n" + json.dumps({**about, "items": items}).encode() + b"\n")

    def left_out(self, split: str) -> dict[int, str]:
        """Return why examples were left out, by number."""
        places = self._places.get(split, {})
        return {number: places[number].reason for number in sorted(places) if places[number].reason}

    def digests(self, split: str) -> dict[int, str]:
        """Return the SHA-256 of the files of examples, by number."""
        places = self._places.get(split, {})
        return {number: places[number].digest for number in sorted(places) if not places[number].reason}

    def units(self, split: str) -> Spool:
        """Return the units that were done when it was looked, in the order of their numbers."""
        places = self._places.get(split, {})
        found = [places[number] for number in sorted(places) if not places[number].reason]
        return Spool(found, step=self.step, unit_of_time=self.unit_of_time)

    def close(self) -> None:
        """Throw everything away; the results are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Spool(Sequence[Units]):
    """Sequences of one split, which need not fit into memory: each is read from its file when it is asked for.

    Args:
        places: Where they stand.
        step: Length of one unit.
        unit_of_time: What that is counted in.
    """

    def __init__(self, places: Sequence[_Place], *, step: float, unit_of_time: str) -> None:
        self._places, self._step, self._unit_of_time = places, step, unit_of_time

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Units]:
        return map(self._read, self._places)

    @overload
    def __getitem__(self, index: int) -> Units: ...
    @overload
    def __getitem__(self, index: slice) -> list[Units]: ...
    def __getitem__(self, index: int | slice) -> Units | list[Units]:
        """Read one sequence, or some, from the file."""
        if isinstance(index, slice):
            return [self._read(place) for place in self._places[index]]
        return self._read(self._places[index])

    def _read(self, place: _Place) -> Units:
        size = place.shape[0] * place.shape[1] * _NUMBER.itemsize
        with place.file.open("rb") as file:
            file.seek(place.offset)
            content = file.read(size + place.extra)
        codes = np.frombuffer(content[:size], dtype=_NUMBER).reshape(place.shape).astype(np.int64)
        fields = json.loads(content[size:]) if place.extra else {}
        return Units(place.key, codes, 0.0, self._step, place.end, self._unit_of_time, fields)
