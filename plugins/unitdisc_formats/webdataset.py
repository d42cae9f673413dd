"""Units as samples of a WebDataset."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import write_pieces
from unitdisc.unit_lines import repeated
from unitdisc_formats.limits import FILE_NAME, NO_FILE_NAME, num_codebooks, refuse_ids
from unitdisc_formats.lines import codes_of
from unitdisc_formats.tar import from_npy, members, npy, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units


class WebDataset(Format):
    """A tar archive, ``SPLIT.tar``, of ``ID.units.npy`` (S,) or (S, Q) int32 and ``ID.json`` with the times.

    webdataset gives samples ``{"__key__": ID, "units.npy": ..., "json": ...}``. It takes what follows the first "."
    of a file name for an ending, so ids must not hold one. Nothing is lost.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one unit, and write how many they were to
            ``ID.durations.npy``. Nothing is lost.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the archive's name."""
        return f"{split}.tar"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one archive."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        pattern, reason = rf"{FILE_NAME}|\.[^/]*$", f"hold '.' in its last part, {NO_FILE_NAME}"
        refuse_ids(units, pattern=pattern, name="webdataset", reason=reason)
        path = folder / self.place(split)
        write_pieces(path, pieces(member for item in units for member in self._members(item)))
        return [path]

    def _members(self, item: Units) -> Iterator[tuple[str, bytes]]:
        codes = without_repeats(item.codes) if self._deduplicate else item.codes
        rows = codes[:, 0] if codes.shape[1] == 1 else codes
        times = {name: getattr(item, name) for name in ("start", "step", "end", "unit_of_time")}
        yield f"{item.key}.json", json.dumps(times).encode()
        yield f"{item.key}.units.npy", npy(rows.astype(np.int32))
        if self._deduplicate:
            yield f"{item.key}.durations.npy", npy(durations(item.codes).astype(np.int32))

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each sample; other files of a sample are passed over."""
        for key, group in groupby(members(path), key=lambda member: _split(member[0])[0]):
            where = f"{path}: {key}"
            files = {_split(name)[1]: content for name, content in group}
            if "units.npy" not in files:
                raise DataError(
                    f"{where}: no units.npy (found: {', '.join(files)}); is it a WebDataset of units?"
                )
            codes = codes_of(from_npy(files["units.npy"], where), where)
            if "durations.npy" in files:
                counts = codes_of(from_npy(files["durations.npy"], where), where)
                codes = repeated(codes, counts[:, 0].tolist(), where)
            yield where, _timed(told.units(key, codes), files.get("json"), where)


def _split(name: str) -> tuple[str, str]:
    """Return key and ending as webdataset does."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending


def _timed(units: Units, content: bytes | None, where: str) -> Units:
    if content is None:
        return units
    try:
        times = json.loads(content)
        return replace(
            units,
            start=float(times["start"]),
            step=float(times["step"]),
            end=float(times["end"]),
            unit_of_time=str(times["unit_of_time"]),
        )
    except (ValueError, TypeError):
        raise DataError(f"{where}: its json is damaged; write it anew") from None
    except KeyError:
        return units  # another tool's json, of other things
