"""The laws of readers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError
from unitdisc.reader import Drawn, Recorded
from unitdisc.testing.laws import require

if TYPE_CHECKING:
    from unitdisc.reader import Reader


def check_reader(reader: Reader, folder: Path) -> None:
    """Raise an AssertionError that names the first law of `Reader` that a reader breaks on a good ``folder``."""
    before = _state(folder)
    found, again = list(reader.read(folder)), list(reader.read(folder))
    require(bool(found), "read yields what is in the folder", "it yields nothing")
    kinds = sorted({type(item).__name__ for item in found})
    require(
        kinds in (["Recorded"], ["Drawn"]), "read yields Recorded or Drawn, all alike", f"it yields {kinds}"
    )
    require(found == again, "the same folder gives the same items", "a second look gives others")
    require(_state(folder) == before, "the owner's folder stays as it is", "files in it changed")
    require(
        any(item.split == "train" for item in found), "there is something to train on", "no split is 'train'"
    )
    keys = [item.key for item in found]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    require(not twice, "ids are unique", f"{', '.join(twice)} stand twice")
    for item in found:
        require(bool(item.where), "where names a place", f"it is empty for {item.key}")
        _check_drawn(item) if isinstance(item, Drawn) else _check_recorded(item)
    require(_state(folder) == before, "the owner's folder stays as it is", "read of a line changed files")
    gone = [path for path in reader.beside() if not path.is_file()]
    require(not gone, "beside names files", f"{gone[:1]} is none")
    _refuses(reader)


def _check_recorded(item: Recorded) -> None:
    require(item.path.is_file(), "path is a recording", f"{item.path} of {item.key} is no file")
    for name, labels in item.tables.items():
        wrong = [label for label in labels if not (0 <= label.start <= label.end and label.symbol)]
        require(not wrong, "labels have times and a symbol", f"{name} of {item.key} has {wrong[:1]}")


def _check_drawn(item: Drawn) -> None:
    is_there = bool(item.files) and all(path.is_file() for path in item.files)
    require(is_there, "files name what a line is made of", f"those of {item.key} are {item.files}")
    image = item.read()
    is_grey = image.dtype == np.uint8 and image.ndim == 2 and image.size > 0
    law = "read gives an image (H, W) of uint8, neither of them 0"
    require(is_grey, law, f"that of {item.key} is {image.dtype} {image.shape}")
    require(np.array_equal(image, item.read()), "read gives the same image again", f"not that of {item.key}")
    for name, labels in item.tables.items():
        wrong = [label for label in labels if not (0 <= label[0] < label[1] <= image.shape[1] and label[2])]
        law = "labels lie in the columns of the image and have a symbol"
        require(not wrong, law, f"{name} of {item.key} ({image.shape[1]} columns) has {wrong[:1]}")


def _state(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of all files in a folder, or of a file."""
    paths = (folder, *folder.rglob("*"))
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def _refuses(reader: Reader) -> None:
    """An empty folder and none at all are refused in one line for a user."""
    law = "a folder of another layout is a DataError of one line that names it"
    with TemporaryDirectory() as name:
        for folder in (Path(name), Path(name) / "gone"):
            try:
                list(reader.read(folder))
            except DataError as error:
                is_good = "\n" not in str(error) and str(folder) in str(error)
                require(is_good, law, f"{error}")
            except Exception as error:  # noqa: BLE001  (whatever else it raises breaks the law)
                require(holds=False, law=law, found=f"it raises {type(error).__name__}: {error}")
            else:
                require(holds=False, law=law, found="an empty folder or none is taken")
