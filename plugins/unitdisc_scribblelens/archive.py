"""A zip, or the folder that it unpacks to, as members that are read one at a time; nothing is ever unpacked."""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 2**26
"""Of a member: a list, a transcript or the image of a line."""


class Archive(ABC):
    """Members by name, such as "scribblelens.corpus.v1/corpora/nl.bw.lines.train.dat"."""

    name: str
    """The file or folder, for messages."""

    @abstractmethod
    def names(self, pattern: str) -> list[str]:
        """Return the sorted names of the members that end in ``pattern``, such as "corpora/*.dat"."""

    @abstractmethod
    def __contains__(self, name: str) -> bool: ...

    @abstractmethod
    def read(self, name: str, where: str, *, limit: int = MAX_BYTES) -> bytes:
        """Return what a member holds. Raises `DataError` that begins with ``where``."""

    def require(self, name: str, where: str) -> None:
        """Raise `DataError` that begins with ``where`` unless there is a member of that name."""
        if name not in self:
            raise DataError(
                f"{where}: no {name!r} in {self.name}; it is not whole, get the owner's file again"
            )

    def text(self, name: str, where: str) -> str:
        """Return what a member holds as UTF-8."""
        try:
            return self.read(name, where).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(f"{where}: {name} is not UTF-8; replace it by the owner's file") from None


class Zip(Archive):
    """A zip file.

    Args:
        file: Path of the zip, or its content.
        name: What messages call it.
    """

    def __init__(self, file: Path | io.BytesIO, name: str) -> None:
        self.name = name
        with _reading(name):
            self._zip = zipfile.ZipFile(file)  # closes itself with the last line that may be read
        self._names = frozenset(self._zip.namelist())

    def names(self, pattern: str) -> list[str]:
        """Return the sorted names of the members that end in ``pattern``; what a Mac adds to zips is left out."""
        own = (name for name in self._names if not name.startswith("__MACOSX/"))
        return sorted(name for name in own if PurePosixPath(name).match(pattern))

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str, where: str, *, limit: int = MAX_BYTES) -> bytes:
        """Return what a member holds; it is held to the size that it declares."""
        self.require(name, where)
        size = self._zip.getinfo(name).file_size
        if size > limit:
            raise _too_big(where, name, size, limit)
        with _reading(f"{where}: {name}"), self._zip.open(name) as file:
            return file.read(size + 1)  # without a number, all of it is inflated before it is cut


class Folder(Archive):
    """An unpacked zip.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.name, self._root = str(root), root.resolve()

    def names(self, pattern: str) -> list[str]:
        """Return the sorted names of the files that end in ``pattern``, looked for two folders deep at most."""
        found = [path for deep in ("", "*/", "*/*/") for path in self._root.glob(f"{deep}{pattern}")]
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def __contains__(self, name: str) -> bool:
        return (self._root / name).is_file()

    def read(self, name: str, where: str, *, limit: int = MAX_BYTES) -> bytes:
        """Return what a file holds; a link out of the folder is refused."""
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root):
                raise _leaves(where, name, self.name)
            self.require(name, where)
            if path.stat().st_size > limit:
                raise _too_big(where, name, path.stat().st_size, limit)
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # links in a circle, no right to read it
            raise DataError(f"{where}: {name} cannot be read ({error}); put it right") from None


def open_archive(path: Path) -> Archive:
    """Return the zip or folder at ``path``."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder; give the zip, or the folder that it unpacks to")
    return Zip(path, str(path))


def inside(name: str, where: str, archive: Archive) -> str:
    """Return a member's name that a file gives. Raises `DataError` where it leaves the archive."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
        raise _leaves(where, name, archive.name)
    return path.as_posix()


def _leaves(where: str, name: str, archive: str) -> DataError:
    return DataError(f"{where}: {name!r} leaves {archive}; accepted are names in there, take the line out")


def _too_big(where: str, name: str, size: int, limit: int) -> DataError:
    return DataError(
        f"{where}: {name} unpacks to {size:,} bytes, at most {limit:,} are read; get the owner's file again"
    )


@contextlib.contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn whatever a damaged or protected zip raises into a `DataError`."""
    try:
        yield
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: no whole zip ({reason}); get the owner's file again") from None
