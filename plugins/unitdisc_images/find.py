"""Which collection of pictures stands in a folder or file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc_images import cifar, npz, svhn

if TYPE_CHECKING:
    from pathlib import Path

    from unitdisc_images.stored import Collection, Shape

_PICKLED = ("data_batch_1", "test_batch", "batches.meta", "train", "test", "meta")
_PICKLED_FOLDERS = ("", "cifar-10-batches-py", "cifar-100-python")


def find(root: Path, shape: Shape) -> Collection:
    """Return what ``root`` holds. Raises `DataError` that says what is accepted."""
    if not root.exists():
        raise DataError(f"{root}: does not exist; set data.root to a folder of pictures")
    files = sorted(root.glob("*.npz")) if root.is_dir() else [root]
    found = None
    if root.is_dir():
        found = cifar.find(root, shape) or svhn.find(root, shape)
    if found is None and all(file.suffix == ".npz" for file in files):
        found = npz.find(files, shape)
    if found is not None:
        return found
    if pickled := _pickled(root):
        raise DataError(
            f"{pickled}: the Python version of CIFAR is pickled and could run anything, so it is never opened; fetch "
            "the binary version (cifar-10-binary.tar.gz), unpack it and give its folder"
        )
    raise DataError(
        f"{root}: holds no pictures in a known form; accepted: CIFAR's binary version (data_batch_1.bin ...), SVHN's "
        "train_32x32.mat and test_32x32.mat, and .npz files with images (N, rows, columns, 3 or 1) uint8"
    )


def _pickled(root: Path) -> Path | None:
    if root.is_file():
        return root if "python" in root.name or root.suffix in {".pkl", ".pickle"} else None
    places = (root / folder / name for folder in _PICKLED_FOLDERS for name in _PICKLED)
    return next((place for place in places if place.is_file()), None)
