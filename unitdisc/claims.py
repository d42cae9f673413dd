"""Work that several processes share: each takes pieces by claims, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Self

from unitdisc.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_NAME = "claims.lock"


class Claims:
    """Claims of numbered pieces of the work in a folder, which is made when entered.

    Whoever finishes the work takes the folder away while it holds `alone`; until then everybody is `among` others.
    One instance per process and folder, since closing one lets go of the claims of all (POSIX record locks).

    Args:
        folder: Where the work lies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        """Be among those who work here. Raises `StorageError` where the folder cannot be made."""
        try:
            while True:
                self._folder.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    self._file = (self._folder / _NAME).open("a+b")
                    fcntl.lockf(self._file, fcntl.LOCK_SH, 1, 0)
                    if self._is_there():
                        return self
                    self._file.close()  # another finished the work and took the folder away
        except OSError as error:
            raise StorageError(
                f"{self._folder}: cannot be written ({error.strerror}); choose another --out"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything."""
        self._file.close()

    @contextlib.contextmanager
    def claimed(self, piece: int, *, wait: bool) -> Iterator[bool]:
        """Hold ``piece``, from 0; gives False at once where another holds it and ``wait`` is not asked for."""
        kind = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.lockf(self._file, kind, 1, piece + 1)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, piece + 1)

    def alone(self) -> bool:
        """Wait until nobody else is here, and stay alone; False where another has taken the folder away."""
        fcntl.lockf(
            self._file, fcntl.LOCK_UN, 1, 0
        )  # two that wait for each other's share would wait for ever
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, 0)
        return self._is_there()

    def _is_there(self) -> bool:
        try:
            return os.path.samestat((self._folder / _NAME).stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False
