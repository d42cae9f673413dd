"""SVHN in its cropped form: MATLAB files with X (32, 32, 3, N) and y, where label 10 is the digit 0."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError, RecipeError
from unitdisc_images.stored import Collection, Shape, Stored, checked_labels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat", "extra": "extra_32x32.mat"}


def find(root: Path, shape: Shape) -> Collection | None:
    """Return what is in ``root``; None where there is none of SVHN's files."""
    files = {split: root / name for split, name in _FILES.items() if (root / name).is_file()}
    if not files:
        return None
    splits = {split: partial(_read, file, shape) for split, file in files.items()}
    return Collection(tuple(files.values()), splits, tuple(str(digit) for digit in range(10)))


def _read(file: Path, shape: Shape) -> Stored:
    try:
        from scipy import io  # noqa: PLC0415  (an extra, which only these files need)
    except ImportError:
        raise RecipeError(
            f"data.root: {file.name} is read by SciPy, which is not installed: pip install 'unitdisc[images]'"
        ) from None
    known = {name: (size, kind) for name, size, kind in _decoded(io.whosmat, file)}
    for name in ("X", "y"):
        if name not in known:
            raise DataError(
                f"{file}: has no array {name} (it has: {', '.join(known) or 'none'}); fetch it again"
            )
    size, kind = known["X"]
    if len(size) != 4 or kind != "uint8":
        raise DataError(f"{file}: X is {kind} of shape {size}; accepted: uint8 (32, 32, 3, N)")
    shape.check((size[3], *size[:3]), str(file))
    arrays = _decoded(partial(io.loadmat, variable_names=("X", "y")), file)
    pixels = np.ascontiguousarray(arrays["X"].transpose(3, 0, 1, 2)).reshape(size[3], -1, size[2])
    return Stored(pixels, _labels(arrays["y"], len(pixels), file))


def _labels(y: Any, num_pictures: int, file: Path) -> np.ndarray:
    """Return digits (N,) of labels (N, 1) from 1 to 10."""
    labels = np.asarray(y).reshape(-1)
    is_number = labels.dtype.kind in "iuf"  # "f": saved by MATLAB's default
    whole = labels.astype(np.int64) if is_number else labels
    if not is_number or not np.array_equal(whole, labels):
        raise DataError(f"{file}: y has labels that are no whole numbers; fetch it again")
    checked_labels(whole - 1, num_pictures, 10, f"{file} (y, less 1)")
    return whole % 10


def _decoded(read: Callable[[str], Any], file: Path) -> Any:
    """Call SciPy, which raises anything for a damaged file."""
    try:
        return read(str(file))
    except NotImplementedError:
        raise DataError(
            f"{file}: a file of MATLAB 7.3 or later; save it with -v7, or fetch SVHN's own"
        ) from None
    except Exception as error:  # noqa: BLE001
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: cannot be read ({reason}); fetch it again, it may be cut") from None
