"""Units as a field of lhotse's Shar."""

from __future__ import annotations

import gzip
import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Gt

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.storage import write_bytes, write_pieces
from unitdisc.units import Units
from unitdisc_formats.limits import FILE_NAME, NO_FILE_NAME, num_codebooks, refuse_ids
from unitdisc_formats.lines import codes_of, lines
from unitdisc_formats.tar import from_npy, members, npy, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_END = "recording_end"
_SHARDS = "cuts.*.jsonl.gz"


class Shar(Format):
    """A folder ``shar-SPLIT`` of lhotse's Shar: cuts without audio, and their units as the field "units".

    ``lhotse.CutSet.from_shar(in_dir="shar-SPLIT")`` gives cuts whose ``load_units()`` is (S, Q) int32; name
    ``units.*.tar`` beside the shards of a corpus with the same cuts to add the field to them. Times are exact and in
    seconds (columns for line images); a cut lasts as long as its units, ``cut.recording_end`` says what is left of the
    last one.

    Args:
        shard_size: Utterances in a shard.
    """

    is_timed = True

    def __init__(self, *, shard_size: Annotated[int, Gt(0)] = 1000) -> None:
        self._shard_size = shard_size

    def place(self, split: str) -> str:
        """Return the folder's name."""
        return f"shar-{split}"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write two files per shard."""
        del num_codes  # readers are told K by the sidecar
        num_codebooks(units)
        refuse_ids(units, pattern=FILE_NAME, name="shar", reason=NO_FILE_NAME)
        place = folder / self.place(split)
        place.mkdir()
        paths = []
        for number, first in enumerate(range(0, max(1, len(units)), self._shard_size)):
            shard = units[first : first + self._shard_size]
            cuts, field = (
                place / f"{name}.{number:06d}.{end}" for name, end in (("cuts", "jsonl.gz"), ("units", "tar"))
            )
            text = "".join(json.dumps(_cut(item)) + "\n" for item in shard)
            write_bytes(cuts, gzip.compress(text.encode(), mtime=0))
            write_pieces(field, pieces(member for item in shard for member in _members(item)))
            paths += [cuts, field]
        return paths

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each cut, shard by shard."""
        shards = sorted(path.glob(_SHARDS))
        if not shards:
            raise DataError(f"{path}: no folder of Shar; it should hold {_SHARDS} and units.*.tar")
        for shard in shards:
            archive = shard.with_name(shard.name.replace("cuts", "units", 1).replace("jsonl.gz", "tar"))
            found = members(archive)
            for cut, data, array in zip_longest(lines(shard), found, found):
                if cut is None or data is None or array is None:
                    raise DataError(
                        f"{archive}: not a pair of files for each cut in {shard.name}; it is damaged"
                    )
                yield _read(cut, data, array, told, archive)


def _cut(item: Units) -> dict[str, Any]:
    return {
        "id": item.key,
        "start": 0.0,
        # lhotse loads as many units as last as long as the cut, rounded: a cut last unit would be left out.
        "duration": max(item.end, item.start + len(item.codes) * item.step),
        "channel": 0,
        "supervisions": [],
        "custom": {_END: item.end},
        "type": "MonoCut",
    }


def _members(item: Units) -> Iterator[tuple[str, bytes]]:
    codes = item.codes.astype(np.int32)
    array = {"storage_type": "shar", "storage_path": "", "storage_key": "", "shape": list(codes.shape)}
    manifest = {"array": array, "temporal_dim": 0, "frame_shift": item.step, "start": item.start}
    yield f"{item.key}.npy", npy(codes)
    yield f"{item.key}.json", (json.dumps(manifest) + "\n").encode()


def _read(
    cut: tuple[str, str], data: tuple[str, bytes], array: tuple[str, bytes], told: Told, archive: Path
) -> tuple[str, Units]:
    where = cut[0]
    try:
        about, manifest = json.loads(cut[1]), json.loads(array[1])
        key, end = str(about["id"]), float(about.get("custom", {}).get(_END, about["duration"]))
        step, start = float(manifest["frame_shift"]), float(manifest["start"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{where}: no cut with an array of units in {archive.name}; it is damaged") from None
    if data[0].rpartition(".")[0] != key:
        raise DataError(
            f"{where}: cut {key!r}, where {archive.name} has {data[0]!r}; both must be in one order"
        )
    codes = codes_of(from_npy(data[1], f"{archive}: {key}"), where)
    return where, Units(key, codes, start, step, end, told.unit_of_time or "second")
