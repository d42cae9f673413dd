"""Units as numpy arrays in one file."""

from __future__ import annotations

import io
import itertools
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import new_file
from unitdisc.text_lines import read_bytes
from unitdisc.unit_lines import repeated
from unitdisc.units import Units
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.lines import codes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_TIMES = ("start", "step", "end")
_ARRAYS = ("ids", "codes", "offsets", *_TIMES, "unit_of_time")


class NPZ(Format):
    """All in one ``SPLIT.npz``: the units of ``ids[n]`` are ``codes[offsets[n]:offsets[n + 1]]`` (S, Q) int32.

    ``start``, ``step`` and ``end`` (N,) are exact, in ``unit_of_time``. ``numpy.load`` reads it, nothing is pickled
    and nothing is lost.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one unit; ``durations`` says beside the codes how
            many they were. Nothing is lost.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"{split}.npz"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        count = num_codebooks(units)
        refuse_ids(units, pattern="\0$", name="npz", reason="NUL at the end")
        rows = without_repeats if self._deduplicate else _all
        counts = [len(rows(item.codes)) for item in units]
        arrays: dict[str, np.ndarray] = {
            "ids": np.array([item.key for item in units], np.str_),
            "offsets": np.cumsum([0, *counts]),
            **{name: np.array([getattr(item, name) for item in units], np.float64) for name in _TIMES},
            "unit_of_time": np.array(units[0].unit_of_time if units else "second"),
        }
        path = folder / self.place(split)
        with new_file(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                _put(archive, name, array.shape, [array])
            _put(archive, "codes", (sum(counts), count), _int32(rows(item.codes) for item in units))
            if self._deduplicate:
                _put(archive, "durations", (sum(counts),), _int32(durations(item.codes) for item in units))
        return [path]

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units by id."""
        del told  # the file says all
        arrays = _arrays(path)
        codes = codes_of(arrays["codes"], str(path))
        lasting = codes_of(arrays["durations"], str(path))[:, 0].tolist() if "durations" in arrays else None
        unit_of_time = str(arrays["unit_of_time"])
        for number, key in enumerate(arrays["ids"].tolist()):
            where = f"{path}: {key}"
            first, after = arrays["offsets"][number : number + 2].tolist()
            rows = codes[first:after]
            if lasting is not None:
                rows = repeated(rows, lasting[first:after], where)
            start, step, end = (float(arrays[name][number]) for name in _TIMES)
            yield where, Units(key, rows, start, step, end, unit_of_time)


def _all(codes: np.ndarray) -> np.ndarray:
    return codes


def _int32(arrays: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    yield np.zeros(0, np.int32)  # says the type where there is no other
    yield from (array.astype(np.int32) for array in arrays)


def _put(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    """Write an array as `numpy.savez` does, of parts of which one is in memory at once."""
    place = zipfile.ZipInfo(f"{name}.npy")  # without the time of day, so that equal units give equal bytes
    remaining = iter(parts)
    first = next(remaining)
    about = {"descr": np.lib.format.dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
    with archive.open(place, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, about)
        for part in itertools.chain([first], remaining):
            member.write(part.tobytes())


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        missing = [name for name in _ARRAYS if name not in arrays]
    except DataError:
        raise
    except Exception:  # noqa: BLE001  (zipfile and numpy raise many kinds for what is damaged)
        raise DataError(
            f"{path}: no npz file that can be read without unpickling, or damaged; write it anew"
        ) from None
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; expected the arrays {', '.join(_ARRAYS)}")
    if not _fit(arrays):
        raise DataError(f"{path}: its arrays do not fit together; write it anew")
    return arrays


def _fit(arrays: dict[str, np.ndarray]) -> bool:
    """Whether shapes and types are those of `NPZ` and the offsets cut the codes."""
    offsets, shape = arrays["offsets"], (arrays["ids"].size,)
    return (
        arrays["ids"].dtype.kind == "U"
        and all(arrays[name].dtype.kind == "f" and arrays[name].shape == shape for name in _TIMES)
        and offsets.dtype.kind in "iu"
        and offsets.shape == (shape[0] + 1,)
        and bool(offsets[0] == 0 and np.all(np.diff(offsets) >= 0) and offsets[-1] == len(arrays["codes"]))
    )
