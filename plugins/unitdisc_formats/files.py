"""Formats with a file per utterance in a folder of the split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.storage import write_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units


def write_files(
    folder: Path, units: Sequence[Units], suffix: str, lines: Callable[[Units], Iterable[str]]
) -> list[Path]:
    """Write ``FOLDER/ID.SUFFIX`` for each; a "/" in an id makes a folder."""
    folder.mkdir()
    paths = []
    for item in units:
        path = folder / f"{item.key}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_lines(path, lines(item))
        paths.append(path)
    return paths


def found_files(path: Path, suffix: str) -> Iterator[tuple[str, Path]]:
    """Yield (id, file) of a folder in the order of ids, or of a single file."""
    if path.is_file():
        yield path.name.removesuffix(suffix), path
        return
    if not path.is_dir():
        raise DataError(f"{path}: is not there; give a folder of {suffix} files, or one of them")
    files = {
        file.relative_to(path).as_posix().removesuffix(suffix): file
        for file in path.rglob(f"*{suffix}")
        if file.is_file()
    }
    if not files:
        raise DataError(f"{path}: holds no {suffix} files")
    yield from sorted(files.items())
