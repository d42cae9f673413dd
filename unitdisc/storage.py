"""Files that are there whole or not at all: temporary sibling, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from unitdisc.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PARTIAL = ".partial-"


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in one piece. Raises `StorageError`; the old file stays as it was."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` in one piece. Raises `StorageError` naming path and space; the old file stays as it was."""
    _write(path, [content], len(content))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines, with their ends, as UTF-8 in one piece while they come. Raises `StorageError`."""
    write_pieces(path, (line.encode() for line in lines))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write pieces one after the other in one file while they come. Raises `StorageError`."""
    _write(path, pieces, 0)


def _write(path: Path, pieces: Iterable[bytes], size: int) -> None:
    with new_file(path, size) as file:
        file.writelines(pieces)


@contextlib.contextmanager
def new_file(path: Path, size: int = 0) -> Iterator[IO[bytes]]:
    """Give a file to write, of ``size`` bytes where that is known; it becomes ``path`` when the block ends well.

    Raises `StorageError`; the old file stays as it was.
    """
    partial = path.with_name(f"{_PARTIAL}{os.getpid()}-{path.name}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise explained(path, error, size) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def append_text(path: Path, text: str) -> None:
    """Add ``text`` as UTF-8 to a file whose reader can do without a last line that was cut. Raises `StorageError`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise explained(path, error, len(text)) from error


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``path`` when the block ends well and vanishes otherwise.

    A folder that is already at ``path`` is replaced, and what killed processes left half-written for it vanishes.
    Raises `StorageError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stray in path.parent.glob(f"{_PARTIAL}{glob.escape(path.name)}-????????"):  # of a killed process
            shutil.rmtree(stray, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
        partial.chmod(0o777 & ~_umask())
    except OSError as error:
        raise explained(path, error, 0) from error
    try:
        yield partial
        _replace_folder(partial, path)
    except OSError as error:
        raise explained(path, error, 0) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_other_files(folder: Path, own: str) -> None:
    """Raise `StorageError` when replacing ``folder`` would lose files: it is not empty and lacks our file ``own``."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not (folder / own).is_file() and not is_empty:
        raise StorageError(f"{folder}: holds other files, which would be lost; give a new folder")


def _replace_folder(partial: Path, path: Path) -> None:
    sync_folder(partial)
    if path.exists():
        old = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
        path.rename(old / path.name)
        partial.rename(path)
        shutil.rmtree(old)
    else:
        partial.rename(path)
    sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written directly in ``folder``."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether ``path`` is something that was being written."""
    return path.name.startswith(_PARTIAL)


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def explained(path: Path, error: OSError, size: int = 0) -> StorageError:
    """Return the error that says why ``path``, of ``size`` bytes where that is known, could not be written."""
    try:
        parent = next(folder for folder in path.absolute().parents if folder.is_dir())
        needed = f"{size:,} bytes needed, " if size else ""
        space = f"; {needed}{shutil.disk_usage(parent).free:,} bytes free"
    except OSError:
        space = ""
    return StorageError(
        f"{path}: could not be written ({error.strerror or error}){space}; what was there is kept"
    )
