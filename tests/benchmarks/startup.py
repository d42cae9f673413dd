"""How long the command takes to start, as whole processes.

    python tests/benchmarks/startup.py [--runs 15] [--only help plugins ...] [--uncompiled] [--json]

Byte code is compiled into a folder of this benchmark before anything is timed, whatever
``PYTHONDONTWRITEBYTECODE`` says: a user's installation has it. ``--uncompiled`` does without. The commands take
turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from measurement import arguments, facts, show, spread, text

UNITDISC = str(Path(sysconfig.get_path("scripts"), "unitdisc"))
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "help": [UNITDISC, "--help"],
    "plugins": [UNITDISC, "plugins"],
    "recipes": [UNITDISC, "recipes"],
    # No data is read, so the folder need not be there; without a corpus the recipe is refused.
    "check": [UNITDISC, "check", "speech/ema", "data.root=recordings"],
    "gradient": [UNITDISC, "check", "speech/gradient", "data.root=recordings"],
    "torch": [sys.executable, "-c", "import torch"],
}
TARGETS = {"help": 0.2, "plugins": 0.4}
"""Seconds."""


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=15)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), metavar="NAME")
    parser.add_argument("--uncompiled", action="store_true", help="without byte code")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(folder, options)
        for name in options.only:
            _seconds(COMMANDS[name], environment)  # compiles, and fills the disk cache
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in options.only}
        for _ in range(options.runs):
            for name in options.only:
                samples[name].append(_seconds(COMMANDS[name], environment))
    shared = facts(options)
    measurements = [
        {
            "benchmark": "startup",
            "command": _typed(COMMANDS[name]),
            "seconds": spread([wall for wall, _ in taken]),
            "cpu_seconds": spread([cpu for _, cpu in taken]),
            "compiled": not options.uncompiled,
            "target_seconds": None if options.uncompiled else TARGETS.get(name),
            **shared,
        }
        for name, taken in samples.items()
    ]
    rows = [["command", "seconds: median (p10 to p90)", "CPU seconds", "target"]]
    for item in measurements:
        target = "" if item["target_seconds"] is None else f"< {item['target_seconds']}"
        rows.append([f"`{item['command']}`", text(item["seconds"]), text(item["cpu_seconds"]), target])
    show(measurements, rows, as_json=options.json)


def _environment(folder: str, options: argparse.Namespace) -> dict[str, str]:
    own = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": "1" if options.uncompiled else ""}
    return {**os.environ, **own, "OMP_NUM_THREADS": str(options.threads)}


def _seconds(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return wall and CPU seconds of one process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _typed(command: list[str]) -> str:
    program, *words = command
    quoted = [f"'{word}'" if " " in word else word for word in words]
    return " ".join(["python" if program == sys.executable else "unitdisc", *quoted])


if __name__ == "__main__":
    main()
