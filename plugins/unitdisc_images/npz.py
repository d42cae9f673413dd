"""Pictures in NumPy's archives: ``images`` (N, rows, columns, 3 or 1) uint8 and ``labels`` (N,)."""

from __future__ import annotations

import contextlib
import lzma
import math
import zipfile
import zlib
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError
from unitdisc_images.stored import MAX_BYTES, Collection, Shape, Stored, checked_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_MAX_CLASSES = 10_000
_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def find(files: Sequence[Path], shape: Shape) -> Collection | None:
    """Return what is in archives: ``images`` are the split that the file is named after, ``x_images`` the split x."""
    splits: dict[str, Callable[[], Stored]] = {}
    num_classes = 0
    for file in files:
        with _opened(file) as archive:
            for split, prefix in _splits(file, archive.namelist()):
                if split in splits:
                    raise DataError(
                        f"{file}: holds the split {split}, as another file does; keep one of them"
                    )
                labels = _labels(archive, f"{prefix}labels", file)
                if labels is not None:
                    num_classes = max(num_classes, int(labels.max(initial=-1)) + 1)
                splits[split] = partial(_read, file, prefix, shape)
    if not splits:
        return None
    return Collection(tuple(files), splits, tuple(str(number) for number in range(num_classes)))


def _splits(file: Path, members: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and prefix of each split."""
    for name in (member[: -len(".npy")] for member in members if member.endswith(".npy")):
        if name == "images":
            yield file.stem, ""
        elif name.endswith("_images"):
            yield name.removesuffix("_images"), name.removesuffix("images")


def _read(file: Path, prefix: str, shape: Shape) -> Stored:
    with _opened(file) as archive:
        where = f"{file}: {prefix}images"
        size, dtype = _header(archive, f"{prefix}images", where)
        if dtype != np.uint8:
            raise DataError(f"{where} are {dtype}; accepted: uint8, from 0 to 255")
        shape.check(size, where)
        pixels = _array(archive, f"{prefix}images").reshape(size[0], -1, shape.colours)
        labels = _labels(archive, f"{prefix}labels", file)
    if labels is not None:
        labels = checked_labels(labels, len(pixels), _MAX_CLASSES, f"{file}: {prefix}labels")
    return Stored(np.ascontiguousarray(pixels), labels)


def _labels(archive: zipfile.ZipFile, name: str, file: Path) -> np.ndarray | None:
    """Return labels as they are stored; None where there are none."""
    if f"{name}.npy" not in archive.namelist():
        return None
    size, dtype = _header(archive, name, f"{file}: {name}")
    if len(size) != 1 or dtype.kind not in "iu":
        raise DataError(f"{file}: {name} are {dtype} of shape {size}; give one whole number for each picture")
    labels = _array(archive, name)
    return checked_labels(labels, len(labels), _MAX_CLASSES, f"{file}: {name}")


def _header(archive: zipfile.ZipFile, name: str, where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array before anything else is unpacked. Raises `DataError` for what is no array."""
    size = archive.getinfo(f"{name}.npy").file_size
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"version {version} of NumPy's format")
        shape, _, dtype = _HEADERS[version](member)
    if dtype.hasobject:
        raise DataError(f"{where}: holds Python objects, which are never unpickled; save numbers")
    announced = math.prod(shape) * dtype.itemsize
    if not 0 <= size - announced < 2**16 or size > MAX_BYTES:
        raise DataError(
            f"{where}: unpacks to {size:,} bytes for an array of {announced:,}, at most {MAX_BYTES // 2**30} GiB are "
            "read; fetch the file again or split it"
        )
    return shape, dtype


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
    return array


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """Turn whatever a damaged archive raises into a `DataError`."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: cannot be read ({reason}); save or fetch it again") from None
