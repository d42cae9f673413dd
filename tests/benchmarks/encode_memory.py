"""Peak memory of ``unitdisc encode`` over more and more speech.

    python tests/benchmarks/encode_memory.py [--hours 2 20] [--minutes 1] [--threads 1] [--json]

Encodes that many hours with the command, each time in a process of its own, whose greatest resident size the kernel
tells. The model is the tiny speech recipe of the tests after two steps, so what grows would be seen beside it; files
are read, made features of, batched, encoded and written as jsonl and ctm as with any other. Recordings are three noises
in FLAC, of ``--minutes`` each, under as many names as it takes (hard links: every one is read and decoded anew). The
speed is that of reading and features, not of a real encoder.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from measurement import REPOSITORY, alone, arguments, facts, show

sys.path.insert(0, str(REPOSITORY))
from tests import tiny

if TYPE_CHECKING:
    import argparse

RATE = 16000
KINDS = 3


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=1)
    parser.set_defaults(threads=1)
    parser.add_argument("--hours", nargs="+", type=float, default=[2.0, 20.0], help="of speech (2 20)")
    parser.add_argument("--minutes", type=float, default=1.0, help="of a recording (1)")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        run = _run(Path(name))
        measurements = [alone(measure, options, hours, run) for hours in options.hours]
    rows = [["hours", "recordings", "peak memory, MiB", "times faster than speech", "units"]]
    rows += [
        [
            f"{item['hours']:g}",
            str(item["recordings"]),
            f"{item['peak_bytes'] / 2**20:.0f}",
            f"{item['hours'] * 3600 / item['seconds']:.0f}",
            f"{item['units']:,}",
        ]
        for item in measurements
    ]
    show(measurements, rows, as_json=options.json)


def _run(folder: Path) -> Path:
    """Return a trained run."""
    tiny.write_corpora(folder)
    done = tiny.finish(tiny.start("train", folder / "speech.yaml", "--out", folder / "run", "train.steps=2"))
    if done.code:
        raise SystemExit(done.err)
    return folder / "run"


def measure(options: argparse.Namespace, hours: float, run: Path) -> dict[str, Any]:
    """Return the measurement of one command; the process should have no other children."""
    count = round(hours * 60 / options.minutes)
    with TemporaryDirectory() as name:
        corpus = _corpus(Path(name) / "corpus", count, options)
        out = Path(name) / "out"
        formats = ["--format", "jsonl", "--format", "ctm"]
        command = [
            sys.executable,
            "-m",
            "unitdisc",
            "encode",
            str(run),
            str(corpus),
            *formats,
            "--out",
            str(out),
        ]
        start = time.perf_counter()
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        units = sum(1 for _ in (out / "all.ctm").open(encoding="utf-8"))
    return {
        "benchmark": "memory of encode",
        "hours": hours,
        "recordings": count,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
        "seconds": round(seconds, 1),
        "units": units,
        **facts(options),
    }


def _corpus(folder: Path, count: int, options: argparse.Namespace) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(options.seed)
    kinds = [folder / f"u{number:06d}.flac" for number in range(min(KINDS, count))]
    for path in kinds:
        soundfile.write(path, 0.1 * rng.standard_normal(round(options.minutes * 60 * RATE)), RATE)
    for number in range(len(kinds), count):
        (folder / f"u{number:06d}.flac").hardlink_to(kinds[number % len(kinds)])
    return folder


if __name__ == "__main__":
    main()
