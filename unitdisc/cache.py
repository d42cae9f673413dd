"""What is made once and kept between runs: imported corpora and corpora made on the spot."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc.errors import StorageError
from unitdisc.manifest import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from unitdisc.data import Corpus


def cache_root() -> Path:
    """Return ``$UNITDISC_CACHE``, else ``$XDG_CACHE_HOME/unitdisc``, else ``~/.cache/unitdisc``."""
    if own := os.environ.get("UNITDISC_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "unitdisc"


def import_folder(root: Path, tables: Sequence[str], component: type) -> Path:
    """Return where what ``component`` makes of the corpus folder ``root`` is kept; named by its content."""
    root = root.resolve()
    importer = f"{component.__module__}.{component.__qualname__}"
    content = f"{importer} {root} {sorted(tables)} {digest(root, tables=tables)}"
    return cache_root() / "imports" / f"{root.name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def made(corpus: Corpus) -> Path:
    """Return the folder that holds ``corpus``, made when there is none of these parameters and this code."""
    known = [
        (name, value.read_bytes() if isinstance(value, Path) and value.is_file() else value)
        for name, value in sorted(vars(corpus).items())
    ]
    kind = type(corpus)
    content = f"{kind.__module__}.{kind.__qualname__} {known!r} {_code_digest(kind)}"
    name = f"{kind.__name__}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    return once(cache_root() / "corpora" / name, corpus.make)


def _code_digest(kind: type) -> str:
    """Return the SHA-256 of the package (or single module) that defines ``kind``."""
    file = Path(inspect.getfile(kind))
    is_package = "." in kind.__module__
    files = [path for path in file.parent.rglob("*") if path.is_file()] if is_package else [file]
    sums = hashlib.sha256()
    for path in sorted(files):
        if path.suffix != ".pyc":
            sums.update(path.name.encode() + b"\0" + path.read_bytes())
    return sums.hexdigest()


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return ``folder``; where it is absent, let ``make`` fill an empty folder beside it and rename that.

    Whoever sees ``folder`` sees it whole, also after a crash. Of several processes one makes it, others wait.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        with _locked(cache_root() / "locks" / place):
            if not folder.is_dir():
                _make(folder, make)
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be written ({error.strerror or error}); free space or set UNITDISC_CACHE"
        ) from error
    return folder


def _make(folder: Path, make: Callable[[Path], object]) -> None:
    # Under the lock no other process works here, so what lies at this path was left by one that died.
    part = folder.parent / f".{folder.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        make(part)
        for path in [*part.rglob("*"), part]:
            _sync(path)
        part.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
