"""CIFAR-10 and CIFAR-100 in their binary version: records of label bytes and planes of red, green and blue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc_images.stored import MAX_BYTES, Collection, Shape, Stored, checked_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FOLDERS = ("", "cifar-10-batches-bin", "cifar-100-binary")
_TEN = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)}
_HUNDRED = {"train": ("train.bin",), "test": ("test.bin",)}
_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SIDE = 32
_PLANES = 3 * _SIDE * _SIDE


def find(root: Path, shape: Shape) -> Collection | None:
    """Return what is in ``root``, or in the folder that the archives unpack into; None where it is neither set."""
    for folder in (root / name for name in _FOLDERS):
        for parts, vocab in ((_TEN, _NAMES), (_HUNDRED, tuple(str(number) for number in range(100)))):
            files = {split: [folder / name for name in names] for split, names in parts.items()}
            known = [file for some in files.values() for file in some]
            if any(file.is_file() for file in known):
                missing = [file.name for file in known if not file.is_file()]
                if missing:
                    raise DataError(
                        f"{folder}: {', '.join(missing)} is missing; unpack the binary version again"
                    )
                before = 1 if parts is _TEN else 2
                splits = {split: partial(_read, some, shape, before, vocab) for split, some in files.items()}
                return Collection(tuple(known), splits, vocab)
    return None


def _read(files: Sequence[Path], shape: Shape, before: int, vocab: Sequence[str]) -> Stored:
    """Read records that begin with ``before`` labels, of which the last, the finest, counts."""
    shape.check((1, _SIDE, _SIDE, 3), str(files[0]))
    parts = [_records(file, before) for file in files]
    labels = [
        checked_labels(part[:, before - 1], len(part), len(vocab), str(file))
        for file, part in zip(files, parts, strict=True)
    ]
    planes = np.concatenate([part[:, before:] for part in parts]).reshape(-1, 3, _SIDE * _SIDE)
    return Stored(np.ascontiguousarray(planes.swapaxes(1, 2)), np.concatenate(labels))


def _records(file: Path, before: int) -> np.ndarray:
    size, record = file.stat().st_size, before + _PLANES
    if size == 0 or size % record or size > MAX_BYTES:
        raise DataError(
            f"{file}: {size:,} bytes are not records of {record}; fetch the file again, it may be cut"
        )
    return np.fromfile(file, np.uint8).reshape(-1, record)
