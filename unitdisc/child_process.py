"""A command that another one began: ``python -m unitdisc.child_process PARENT ...`` is ``unitdisc ...``.

It is asked to stop, as by Ctrl-C, when the process PARENT dies, for example for want of memory.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from unitdisc.cli import main

_PR_SET_PDEATHSIG = 1


def stop_with_parent(parent: int) -> None:
    """Have this process get SIGTERM when ``parent``, which began it, dies."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before that
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    stop_with_parent(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
