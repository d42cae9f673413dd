"""The process of one run: ``python -m unitdisc.ablate.cell_process PARENT RUN`` is ``unitdisc run RUN``."""

from __future__ import annotations

import sys

from unitdisc.child_process import stop_with_parent
from unitdisc.cli import main

if __name__ == "__main__":
    stop_with_parent(int(sys.argv[1]))
    sys.exit(main(["run", sys.argv[2]]))
