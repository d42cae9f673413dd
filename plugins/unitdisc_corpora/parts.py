"""Which folders of a distribution make which split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


def require_folder(folder: Path) -> Path:
    """Return the absolute path of an existing folder."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: {'is a file' if folder.exists() else 'no such folder'}; give a folder that exists"
        )
    return folder.resolve()


def named_parts(folder: Path, named: Mapping[str, Sequence[str]]) -> list[tuple[str, Path]]:
    """Return (split, folder) of parts that the user names. Raises `DataError` where one is not there, or twice."""
    all_names = [name for names in named.values() for name in names]
    for name in all_names:
        if not (folder / name).is_dir():
            found = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
            raise DataError(f"{folder}: no folder {name!r} in there (found: {found}); name one that exists")
        if all_names.count(name) > 1:
            raise DataError(f"{folder}: {name!r} is named twice for train, dev and test; name it once")
    return [(split, folder / name) for split, names in named.items() for name in names]


def found_parts(folder: Path, is_part: Callable[[Path], bool], layout: str) -> list[tuple[str, Path]]:
    """Return (split, folder) of the parts in ``folder``, one per split by its name; itself is a part to train on.

    Raises `DataError` where there is none (``layout`` says what should be there) or several are alike.
    """
    if is_part(folder):
        return [("train", folder)]
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and is_part(path):
            found.setdefault(split_of(path.name) or path.name, []).append(path)
    if not found:
        raise DataError(f"{folder}: {layout}")
    for split, paths in found.items():
        if len(paths) > 1:
            names = [path.name for path in paths]
            raise DataError(
                f"{folder}: {' and '.join(names)} could all be the split {split!r}; name the folders, as in "
                f"{split}=[{names[0]}]"
            )
    return [(split, path) for split, (path,) in found.items()]


def split_of(name: str) -> str | None:
    """Return the split that the name of a part speaks of: train_si284, test_dev93, test_eval92; else None."""
    name = name.lower()
    if "dev" in name or name.startswith(("valid", "cv")):
        return "dev"
    if name.startswith("train"):
        return "train"
    return "test" if name.startswith(("test", "eval")) else None
