"""Several processes of one command side by side, for work that they share by claims."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from unitdisc.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Child = tuple[subprocess.Popen[bytes], IO[bytes]]

_LOOK_EVERY = 0.1


def run_copies(arguments: Sequence[str], count: int, *, look: Callable[[], object]) -> None:
    """Run ``unitdisc ARGUMENTS`` in ``count`` processes of one thread each, until all have ended.

    Raises `StorageError` when one ends badly; the others are then asked to stop, and have stopped.

    Args:
        arguments: Of the command.
        count: How many processes.
        look: Is called now and then.
    """
    with ExitStack() as stack:
        children = [stack.enter_context(_child(arguments)) for _ in range(count)]
        while sum(_is_running(child) for child in children):
            look()
            time.sleep(_LOOK_EVERY)


@contextmanager
def _child(arguments: Sequence[str]) -> Iterator[Child]:
    """Give one process and what it says; it is stopped at the end of the block."""
    with TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  (this program itself)
            [sys.executable, "-m", "unitdisc.child_process", str(os.getpid()), *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # Ctrl-C is passed on once, not twice
        )
        try:
            yield process, said
        finally:
            process.terminate()
            process.wait()


def _is_running(child: Child) -> bool:
    """Whether it has not ended. Raises `StorageError` when it ended badly."""
    process, said = child
    code = process.poll()
    if code:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise StorageError(
            f"one of the processes ended ({how}): {lines[-1].removeprefix('unitdisc: ')}; what is done is kept, and "
            "the same command goes on"
        )
    return code is None
