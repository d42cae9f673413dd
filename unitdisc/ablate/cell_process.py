"""The process of one run: ``python -m unitdisc.ablate.cell_process RUN`` is ``unitdisc run RUN``.

It is asked to stop, as by Ctrl-C, when the comparison that began it dies, for example for want of memory.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from unitdisc.cli import main

_PR_SET_PDEATHSIG = 1


def _stop_with_parent(parent: int) -> None:
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before that
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _stop_with_parent(int(sys.argv[1]))
    sys.exit(main(["run", sys.argv[2]]))
