"""Tar archives whose bytes depend on nothing but what they hold."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_END = b"\0" * 1024


def pieces(members: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield an archive of (name, content) piece by piece."""
    for name, content in members:
        header = tarfile.TarInfo(name)
        header.size = len(content)
        yield header.tobuf(tarfile.PAX_FORMAT)
        yield content
        yield b"\0" * (-len(content) % tarfile.BLOCKSIZE)
    yield _END


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the files in an archive, which is never extracted. Raises `DataError`."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError):
        raise DataError(f"{path}: no tar archive, or damaged; write it anew") from None


def npy(array: np.ndarray) -> bytes:
    """Return the array as the content of a ``.npy`` file."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def from_npy(content: bytes, where: str) -> Any:
    """Return the array of a ``.npy`` file. Raises `DataError`; nothing is unpickled."""
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception:  # noqa: BLE001  (numpy raises many kinds for what is damaged)
        raise DataError(
            f"{where}: no array that can be read without unpickling, or damaged; write it anew"
        ) from None
