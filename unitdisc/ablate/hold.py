"""One comparison at a time in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING

from unitdisc.errors import StorageError
from unitdisc.storage import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold ``folder`` against other comparisons. Raises `StorageError` naming the holder.

    Gives the descriptor of the lock. Runs inherit it, so that those of a killed comparison hold it until they
    have saved.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "ablation.lock").open("a+")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise StorageError(
                f"{folder}: another comparison is under way here, or its runs are saving (begun by {holder}); "
                "try again when they have ended"
            ) from error
        lock.truncate(0)
        lock.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        sweep(folder)
        yield lock.fileno()
