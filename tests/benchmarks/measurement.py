"""What every measurement says about where it was made, how samples are summed up, and how both are printed."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[2]


def arguments(description: str | None, *, runs: int) -> argparse.ArgumentParser:
    """Return a parser of what all benchmarks take."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=runs, help=f"measurements of each kind ({runs})")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn (0)")
    parser.add_argument("--json", action="store_true", help="one JSON line per measurement, no table")
    return parser


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """Return what makes figures comparable."""
    commit = _git("rev-parse", "--short", "HEAD")
    return {
        "device": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),  # of the last minute: above 1 others were at work, too
        "python": platform.python_version(),
        "torch": version("torch"),
        "threads": options.threads,
        "commit": commit or "unknown",
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "seed": options.seed,
        "runs": options.runs,
    }


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what ``function`` returns in a process of its own, whose threads wait as those of the command do."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "passive"
    )  # spinning threads steal from each other on shared cores
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # torch's profiler complains where there is no GPU
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def spread(samples: list[float]) -> dict[str, float]:
    """Return median, p10 and p90, to 6 digits."""
    ordered = sorted(float(f"{sample:.6g}") for sample in samples)
    tenth = round(0.1 * (len(ordered) - 1))
    return {"median": statistics.median(ordered), "p10": ordered[tenth], "p90": ordered[-1 - tenth]}


def text(spread_: dict[str, float], unit: str = ".2f") -> str:
    """Return "median (p10 to p90)"."""
    return "{:{unit}} ({:{unit}} to {:{unit}})".format(
        spread_["median"], spread_["p10"], spread_["p90"], unit=unit
    )


def show(measurements: list[dict[str, Any]], rows: list[list[str]], *, as_json: bool) -> None:
    """Print the measurements as JSON lines, or the rows, heading first, as a Markdown table with the facts."""
    if as_json:
        for measurement in measurements:
            print(json.dumps(measurement), flush=True)
        return
    heading, *body = rows
    for row in (heading, ["---"] * len(heading), *body):
        print("|", " | ".join(row), "|")
    first = measurements[0]
    changed = " with changes" if first["changed"] else ""
    loads = sorted({measurement["load"] for measurement in measurements})
    print(
        f"\nSeed {first['seed']}, {first['runs']} runs, {first['device']} with {first['cores']} cores, "
        f"torch {first['torch']} on {first['threads']} threads, Python {first['python']}, "
        f"commit {first['commit']}{changed}; load average {loads[0]} to {loads[-1]}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git(*words: str) -> str:
    """Return what git says of this repository, nothing outside of one."""
    try:
        result = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
