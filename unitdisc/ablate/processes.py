"""Runs cells side by side, each in a process of its own, so that the end of one does not end the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import torch

from unitdisc.ablate.outcome import record_of
from unitdisc.errors import StorageError
from unitdisc.run_folder import RunFolder
from unitdisc.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from unitdisc.ablate.variants import Cell
    from unitdisc.recipe import Recipe

_LOOK_EVERY = 0.1
_THREADS = 2
_MESSAGE = 300


@dataclass(frozen=True)
class Ended:
    """How a run's process ended.

    Args:
        code: Exit code; minus the signal that killed it.
        message: The last line it printed.
        seconds: What it took.
    """

    code: int
    message: str
    seconds: float

    def __str__(self) -> str:
        if self.code < 0:
            return f"killed by {_signal(-self.code)}: {self.message}"
        return f"exit code {self.code}: {self.message}"


@dataclass(frozen=True)
class Shares:
    """Who gets what of the machine.

    Args:
        jobs: Runs side by side.
        threads: CPU threads of each; None leaves it to the run.
    """

    jobs: int
    threads: int | None


def shares(recipes: Sequence[Recipe], jobs: int | None) -> Shares:
    """Divide the machine.

    Threads are the recipes' ``train.threads``, else OMP_NUM_THREADS, else 2 (all cores shared out where ``jobs``
    is given). As many runs as that leaves room for go side by side; on CUDA one.
    """
    cores = len(os.sched_getaffinity(0))
    wanted = max(recipe.train.threads or 0 for recipe in recipes)
    wanted = wanted or int(os.environ.get("OMP_NUM_THREADS", "0"))
    if jobs is None:
        on_cuda = torch.cuda.is_available() and any(recipe.train.device != "cpu" for recipe in recipes)
        jobs = 1 if on_cuda else max(1, cores // (wanted or _THREADS))
    if wanted or jobs == 1:
        return Shares(jobs, wanted or None)
    return Shares(jobs, max(1, cores // jobs))


def run_cells(
    cells: Sequence[Cell],
    share: Shares,
    *,
    lock: int,
    started: Callable[[Cell], None],
    ended: Callable[[Cell, Ended], None],
) -> bool:
    """Run ``cells`` in their order; return False when a signal asked to stop, after which all have saved.

    Args:
        cells: What to run.
        share: How many side by side, with how many threads.
        lock: Descriptor that every run keeps open to its end.
        started: Called when a run begins.
        ended: Called when one ends by itself.
    """
    waiting = deque(cells)
    with Stopping() as stopping, _children() as running:
        while (waiting or running) and not stopping.asked:
            while waiting and len(running) < share.jobs:
                cell = waiting.popleft()
                running[cell.folder] = (cell, _start(cell, share.threads, lock), time.monotonic())
                started(cell)
            time.sleep(_LOOK_EVERY)
            for folder, (cell, process, began) in list(running.items()):
                code = process.poll()
                # A signal to the whole group reaches the runs, too; those it stopped have not failed.
                if code is not None and not stopping.asked:
                    del running[folder]
                    ended(cell, Ended(code, _last_line(cell.output), time.monotonic() - began))
    return not stopping.asked


Children = dict["Path", tuple["Cell", "subprocess.Popen[bytes]", float]]


@contextmanager
def _children() -> Iterator[Children]:
    """Stop what is left running at the end; a second signal ends the wait, and with it the runs."""
    running: Children = {}
    try:
        yield running
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.wait()


def _start(cell: Cell, threads: int | None, lock: int) -> subprocess.Popen[bytes]:
    # Going on gives the same bytes with as many threads as before.
    threads = record_of(RunFolder(cell.folder)).get("threads", threads)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with _opened(cell.output) as output:
        return subprocess.Popen(  # noqa: S603  (this program itself)
            [sys.executable, "-m", "unitdisc.child_process", str(os.getpid()), "run", str(cell.folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C is passed on once, not twice
        )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error


def _last_line(path: Path) -> str:
    """Return the last line that says something."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("unitdisc: ")[:_MESSAGE] if lines else "printed nothing"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
